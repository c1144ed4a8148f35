-- A calibration's measurement set does not lie there any more.
DELETE FROM cached_measurement_set WHERE calibration_locator = %(calibration_locator)s
