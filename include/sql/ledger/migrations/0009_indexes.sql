-- What is asked of a ledger costs what it answers, not what has gathered in it over the years: `make bench` holds it so.

CREATE INDEX pipeline_run_former ON pipeline_run (former_run) WHERE former_run IS NOT NULL;
CREATE INDEX request_project ON request (project);
CREATE INDEX casa_attempt_running ON casa_attempt (pipeline_run_id) WHERE ended_at IS NULL;
CREATE INDEX cached_measurement_set_there ON cached_measurement_set (cached_at) WHERE removed_at IS NULL;
CREATE INDEX observation_started ON observation (started_at) WHERE decision = 'calibrate';
CREATE INDEX event_of_dag_run ON event ((details ->> 'dag_run_id')) WHERE details ->> 'dag_run_id' IS NOT NULL;
CREATE INDEX event_of_verdict ON event (pipeline_run_id) WHERE event IN ('verdict_changed', 'changed_verdict_written');
