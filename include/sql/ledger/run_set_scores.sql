UPDATE pipeline_run
SET lowest_score = %(lowest)s, scores = %(scores)s
WHERE pipeline_run_id = %(pipeline_run_id)s
