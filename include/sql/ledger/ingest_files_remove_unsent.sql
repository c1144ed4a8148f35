DELETE FROM archived_file
WHERE pipeline_run_id = %(pipeline_run_id)s AND number = %(number)s AND sent_at IS NULL
