-- MOUSs, their ASDMs and their calibrations.

-- name: mous_by_uid
-- One MOUS; no row if there is none of this UID. What its data are nominally is NULL if nobody knows.
SELECT mous_uid, project_code, frequency_ghz, resolution_arcsec
FROM mous
WHERE mous_uid = %(mous_uid)s

-- name: asdms_of_mous
-- The ASDMs of a MOUS: UID, the name of the directory on disk, and what the locator service is asked for.
SELECT asdm_uid, disk_name, locator
FROM mous_member
WHERE mous_uid = %(mous_uid)s
ORDER BY asdm_uid

-- name: newest_calibration_of_mous
-- The calibration of a MOUS that came last; no row if it has none.
SELECT locator
FROM calibration
WHERE mous_uid = %(mous_uid)s
ORDER BY ingested_at DESC, locator DESC
LIMIT 1
