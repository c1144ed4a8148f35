UPDATE pipeline_run SET ppr_sha256 = %(sha256)s WHERE pipeline_run_id = %(pipeline_run_id)s
