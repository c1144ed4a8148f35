-- The number of the server's process; a pooler tells its clients another one.
SELECT pg_backend_pid() AS process
