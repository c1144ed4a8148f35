SELECT request_id, sealed_at FROM request WHERE kind = %(kind)s AND subject = %(subject)s AND digest = %(digest)s
