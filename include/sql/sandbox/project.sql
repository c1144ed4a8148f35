INSERT INTO project (project_code) VALUES (%(project_code)s) ON CONFLICT (project_code) DO NOTHING
