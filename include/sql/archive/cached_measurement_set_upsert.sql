-- Where a calibration's measurement set lies for users, and until when; no row if there is no such calibration.
INSERT INTO cached_measurement_set (calibration_locator, path, expires_at)
SELECT locator, %(path)s, %(expires_at)s FROM calibration WHERE locator = %(calibration_locator)s
ON CONFLICT (calibration_locator) DO UPDATE SET path = excluded.path, expires_at = excluded.expires_at
RETURNING calibration_locator
