-- Calibrations, the SRDP verdict, and the measurement sets that users find.

-- name: calibration_insert
-- One calibration, of an execution block or of a MOUS: the other one is NULL.
INSERT INTO calibration (locator, execution_block_locator, mous_uid, file_group_id, casa_version, pipeline_version, qa_notes)
VALUES (%(locator)s, %(execution_block_locator)s, %(mous_uid)s, %(file_group_id)s, %(casa_version)s, %(pipeline_version)s,
        %(qa_notes)s)

-- name: srdp_state_upsert
-- The SRDP verdict on a calibration or an image set, whichever is not NULL, the first or another. Not used with
-- SRDP_RECORD_SRDP_STATE off.
INSERT INTO srdp_state (calibration_locator, image_set_locator, pipeline_run_id, qa_flag, qa_score, qa_analyst, qa_standard)
VALUES (%(calibration_locator)s, %(image_set_locator)s, %(pipeline_run_id)s, %(qa_flag)s, %(qa_score)s, %(qa_analyst)s,
        %(qa_standard)s)
ON CONFLICT (coalesce(calibration_locator, image_set_locator)) DO UPDATE
SET pipeline_run_id = excluded.pipeline_run_id, qa_flag = excluded.qa_flag, qa_score = excluded.qa_score,
    qa_analyst = excluded.qa_analyst, qa_standard = excluded.qa_standard, updated_at = clock_timestamp()

-- name: calibration_by_locator
-- One calibration; no row if there is none with this locator.
SELECT locator, execution_block_locator, mous_uid, casa_version, pipeline_version, qa_notes, ingested_at
FROM calibration
WHERE locator = %(locator)s

-- name: calibration_set_qa_notes
-- The QA notes of a calibration, and what it belongs to; no row if there is no such calibration.
UPDATE calibration
SET qa_notes = %(qa_notes)s
WHERE locator = %(locator)s
RETURNING execution_block_locator, mous_uid

-- name: calibration_delete_without_files
-- A calibration that has no files, with what belongs to it: it was written while nothing was put into NGAS. One that has
-- files stays.
WITH gone AS (
    DELETE FROM calibration
    WHERE locator = %(locator)s
      AND NOT EXISTS (SELECT FROM file WHERE file.file_group_id = calibration.file_group_id)
    RETURNING file_group_id
)
DELETE FROM file_group USING gone WHERE file_group.file_group_id = gone.file_group_id

-- name: cached_measurement_set_upsert
-- Where a calibration's measurement set is for users, and until when; no row if there is no such calibration.
INSERT INTO cached_measurement_set (calibration_locator, path, expires_at)
SELECT locator, %(path)s, %(expires_at)s FROM calibration WHERE locator = %(calibration_locator)s
ON CONFLICT (calibration_locator) DO UPDATE SET path = excluded.path, expires_at = excluded.expires_at
RETURNING calibration_locator

-- name: cached_measurement_set_delete
-- A calibration's measurement set is not there any more.
DELETE FROM cached_measurement_set WHERE calibration_locator = %(calibration_locator)s
