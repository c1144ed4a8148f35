-- The calibration of a MOUS that came last; no row if it has none.
SELECT locator
FROM calibration
WHERE mous_uid = %(mous_uid)s
ORDER BY ingested_at DESC, locator DESC
LIMIT 1
