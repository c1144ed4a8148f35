-- The ASDMs of a MOUS: UID, the name of the directory on disk, and what the locator service is asked for.
SELECT asdm_uid, disk_name, locator
FROM mous_member
WHERE mous_uid = %(mous_uid)s
ORDER BY asdm_uid
