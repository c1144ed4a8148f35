SELECT state FROM pipeline_run WHERE pipeline_run_id = %(pipeline_run_id)s FOR UPDATE
