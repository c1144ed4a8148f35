INSERT INTO mous (mous_uid, disk_name, project_code, telescope, frequency_ghz, resolution_arcsec)
VALUES (%(mous_uid)s, %(disk_name)s, %(project_code)s, %(telescope)s, %(frequency_ghz)s, %(resolution_arcsec)s)
