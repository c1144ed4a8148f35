UPDATE observation SET started_at = now(), dag_run_id = %(dag_run_id)s
WHERE eb_name = %(eb_name)s AND started_at IS NULL
