UPDATE request SET sealed_at = coalesce(sealed_at, now())
WHERE request_id = %(request_id)s
