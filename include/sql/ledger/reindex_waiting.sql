SELECT count(*) AS requests FROM reindex_request WHERE done_at IS NULL
