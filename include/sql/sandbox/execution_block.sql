-- The last statement of the transaction: ingested_at is the clock's time as near to the commit as can be.
INSERT INTO execution_block (locator, name, project_code, telescope, calibration_status, observed_start, observed_end, file_group_id)
VALUES (%(locator)s, %(name)s, %(project_code)s, %(telescope)s, %(calibration_status)s, %(observed_start)s, %(observed_end)s,
        %(file_group_id)s)
