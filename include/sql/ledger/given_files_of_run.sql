SELECT name, source, content FROM given_file WHERE pipeline_run_id = %(pipeline_run_id)s ORDER BY name
