-- One MOUS; no row if there is none of this UID. What its data are nominally is NULL if nobody knows.
SELECT mous_uid, project_code, frequency_ghz, resolution_arcsec
FROM mous
WHERE mous_uid = %(mous_uid)s
