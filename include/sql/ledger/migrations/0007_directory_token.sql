-- What a directory must hold to be known for a run's: its name alone proves nothing.

ALTER TABLE pipeline_run ADD COLUMN directory_token uuid NOT NULL DEFAULT gen_random_uuid();
COMMENT ON COLUMN pipeline_run.directory_token IS 'Random; stands in a file in each directory of the run.';
