-- The project of an execution block or of a MOUS, whichever is not NULL; no row if the archive does not have it.
SELECT project_code FROM execution_block WHERE locator = %(execution_block_locator)s
UNION ALL
SELECT project_code FROM mous WHERE mous_uid = %(mous_uid)s
