-- Asks for a project to be indexed again; asked twice before it is done, it is done once. No row if the archive does not
-- have the project. Used with SRDP_REINDEX=sql.
INSERT INTO reindex_request (project_code)
SELECT project_code FROM project WHERE project_code = %(project_code)s
ON CONFLICT (project_code) DO UPDATE SET requested_at = clock_timestamp()
RETURNING project_code
