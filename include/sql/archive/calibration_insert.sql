-- One calibration, of an execution block or of a MOUS: the other one is NULL.
INSERT INTO calibration (locator, execution_block_locator, mous_uid, file_group_id, casa_version, pipeline_version, qa_notes)
VALUES (%(locator)s, %(execution_block_locator)s, %(mous_uid)s, %(file_group_id)s, %(casa_version)s, %(pipeline_version)s,
        %(qa_notes)s)
