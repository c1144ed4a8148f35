-- What was decided and has a run already, because somebody started it by hand, or a task was killed before it said so.
UPDATE observation SET started_at = run.created_at, dag_run_id = run.dag_run_id
FROM pipeline_run AS run JOIN request USING (request_id)
WHERE decision = 'calibrate' AND started_at IS NULL AND kind = %(kind)s AND subject = eb_name AND version = 1
