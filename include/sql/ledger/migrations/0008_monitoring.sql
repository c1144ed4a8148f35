-- For whoever watches from outside Airflow: when what has to be done again and again was last done, and what there is.

CREATE TABLE heartbeat (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,63}$'),
    beat_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE heartbeat IS 'One row for each thing that is done again and again: when it was last done.';

-- What is counted each minute: without it, all runs that ever were would be read.
CREATE INDEX pipeline_run_not_cleaned ON pipeline_run (state, pipeline_run_id, state_since) WHERE state <> 'cleaned';
