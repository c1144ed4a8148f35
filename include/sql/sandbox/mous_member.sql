-- The ASDM's locator is its UID.
INSERT INTO mous_member (locator, mous_uid, asdm_uid, disk_name, file_group_id)
VALUES (%(asdm_uid)s, %(mous_uid)s, %(asdm_uid)s, %(disk_name)s, %(file_group_id)s)
