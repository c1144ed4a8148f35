-- What the embedded observatory writes and asks.

-- name: project
INSERT INTO project (project_code) VALUES (%(project_code)s) ON CONFLICT (project_code) DO NOTHING

-- name: execution_block
-- The last statement of the transaction: ingested_at is the clock's time as near to the commit as can be.
INSERT INTO execution_block (locator, name, project_code, telescope, calibration_status, observed_start, observed_end, file_group_id)
VALUES (%(locator)s, %(name)s, %(project_code)s, %(telescope)s, %(calibration_status)s, %(observed_start)s, %(observed_end)s,
        %(file_group_id)s)

-- name: mous
INSERT INTO mous (mous_uid, disk_name, project_code, telescope, frequency_ghz, resolution_arcsec)
VALUES (%(mous_uid)s, %(disk_name)s, %(project_code)s, %(telescope)s, %(frequency_ghz)s, %(resolution_arcsec)s)

-- name: mous_member
-- The ASDM's locator is its UID.
INSERT INTO mous_member (locator, mous_uid, asdm_uid, disk_name, file_group_id)
VALUES (%(asdm_uid)s, %(mous_uid)s, %(asdm_uid)s, %(disk_name)s, %(file_group_id)s)

-- name: mous_calibration
INSERT INTO calibration (locator, mous_uid, file_group_id, casa_version, pipeline_version)
VALUES (%(locator)s, %(mous_uid)s, %(file_group_id)s, %(casa_version)s, %(pipeline_version)s)

-- name: file_group
INSERT INTO file_group DEFAULT VALUES RETURNING file_group_id

-- name: file
INSERT INTO file (file_group_id, ngas_file_id, version, size, checksum, checksum_type, subdirectory, relative_path, ngas_server)
VALUES (%(file_group_id)s, %(ngas_file_id)s, %(version)s, %(size)s, %(checksum)s, %(checksum_type)s, %(subdirectory)s,
        %(relative_path)s, %(ngas_server)s)

-- name: ngas_server
-- The address may be another after a restart on other ports; the files that are there keep their server.
INSERT INTO ngas_server (name, address, location, cluster)
VALUES (%(name)s, %(address)s, %(location)s, %(cluster)s)
ON CONFLICT (name) DO UPDATE SET address = excluded.address

-- name: located_files
-- The files of what has a locator: an execution block, an ASDM of a MOUS, a calibration. No row if there is no such thing,
-- one without a file if it has none.
SELECT file.ngas_file_id, file.subdirectory, file.relative_path, file.version, file.size, file.checksum, file.checksum_type,
       ngas_server.address, ngas_server.location, ngas_server.cluster
FROM (
    SELECT file_group_id FROM execution_block WHERE locator = %(locator)s
    UNION
    SELECT file_group_id FROM mous_member WHERE locator = %(locator)s
    UNION
    SELECT file_group_id FROM calibration WHERE locator = %(locator)s
) AS located
LEFT JOIN file USING (file_group_id)
LEFT JOIN ngas_server ON ngas_server.name = file.ngas_server
ORDER BY file.subdirectory, file.relative_path

-- name: is_empty
-- Whether nothing was ever observed.
SELECT NOT EXISTS (SELECT FROM execution_block) AND NOT EXISTS (SELECT FROM mous) AS is_empty

-- name: watch_began
-- What is ingested before the first start of watch_observations is history to it.
SELECT count(*) > 0 AS began FROM observation_watch
