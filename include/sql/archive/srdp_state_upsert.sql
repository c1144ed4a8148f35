-- The SRDP verdict on a calibration or an image set, whichever is not NULL, the first or another. Not used with
-- SRDP_RECORD_SRDP_STATE off.
INSERT INTO srdp_state (calibration_locator, image_set_locator, pipeline_run_id, qa_flag, qa_score, qa_analyst, qa_standard)
VALUES (%(calibration_locator)s, %(image_set_locator)s, %(pipeline_run_id)s, %(qa_flag)s, %(qa_score)s, %(qa_analyst)s,
        %(qa_standard)s)
ON CONFLICT (coalesce(calibration_locator, image_set_locator)) DO UPDATE
SET pipeline_run_id = excluded.pipeline_run_id, qa_flag = excluded.qa_flag, qa_score = excluded.qa_score,
    qa_analyst = excluded.qa_analyst, qa_standard = excluded.qa_standard, updated_at = clock_timestamp()
