-- A calibration that has no files, with what belongs to it: it was written while nothing was put into NGAS. One that has
-- files stays.
WITH gone AS (
    DELETE FROM calibration
    WHERE locator = %(locator)s
      AND NOT EXISTS (SELECT FROM file WHERE file.file_group_id = calibration.file_group_id)
    RETURNING file_group_id
)
DELETE FROM file_group USING gone WHERE file_group.file_group_id = gone.file_group_id
