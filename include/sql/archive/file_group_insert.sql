-- A new file group, still empty.
INSERT INTO file_group DEFAULT VALUES RETURNING file_group_id
