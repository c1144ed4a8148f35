-- One image set of a MOUS; asked is what its user asked for, as JSON, or NULL.
INSERT INTO image_set (locator, mous_uid, file_group_id, casa_version, pipeline_version, qa_notes, asked)
VALUES (%(locator)s, %(mous_uid)s, %(file_group_id)s, %(casa_version)s, %(pipeline_version)s, %(qa_notes)s, %(asked)s)
