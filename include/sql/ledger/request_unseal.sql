UPDATE request SET sealed_at = NULL WHERE request_id = %(request_id)s
