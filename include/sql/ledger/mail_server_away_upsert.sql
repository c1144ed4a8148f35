-- It is away since it was first found to be.
INSERT INTO mail_server_away (last_error) VALUES (%(error)s)
ON CONFLICT (the_only_row) DO UPDATE SET last_error = excluded.last_error
