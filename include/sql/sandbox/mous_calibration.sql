INSERT INTO calibration (locator, mous_uid, file_group_id, casa_version, pipeline_version)
VALUES (%(locator)s, %(mous_uid)s, %(file_group_id)s, %(casa_version)s, %(pipeline_version)s)
