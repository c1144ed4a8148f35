UPDATE archived_file SET sent_at = coalesce(sent_at, now()) WHERE ngas_file_id = %(ngas_file_id)s
