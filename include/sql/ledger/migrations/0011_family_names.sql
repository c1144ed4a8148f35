-- What a run's ID begins with names its family; which families there are, the registry of families knows alone.

ALTER TABLE pipeline_run
    DROP CONSTRAINT pipeline_run_pipeline_run_id_check,
    ADD CONSTRAINT pipeline_run_pipeline_run_id_check
        CHECK (pipeline_run_id ~ '^[a-z][a-z0-9]{1,11}-[0-9]{8}-[0-9]{6}-[0-9a-z]{4}$');
