UPDATE archived_file SET ngas_version = %(version)s, proved_at = coalesce(proved_at, now())
WHERE ngas_file_id = %(ngas_file_id)s
