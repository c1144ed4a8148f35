-- Image sets and their images.

-- name: image_set_insert
-- One image set, of a MOUS or of an execution block: the other one is NULL. Asked is what its user asked for, as JSON,
-- or NULL.
INSERT INTO image_set (locator, execution_block_locator, mous_uid, file_group_id, casa_version, pipeline_version, qa_notes,
                       asked)
VALUES (%(locator)s, %(execution_block_locator)s, %(mous_uid)s, %(file_group_id)s, %(casa_version)s, %(pipeline_version)s,
        %(qa_notes)s, %(asked)s)

-- name: image_insert
-- One image of an image set, as its FITS header and its pixels say; its file has the same relative_path.
INSERT INTO image (image_set_locator, relative_path, product, kind, field, spw, stokes, beam_major_arcsec,
                   beam_minor_arcsec, beam_pa_deg, rms, unit, width, height, channels, rest_frequency_hz)
VALUES (%(image_set_locator)s, %(relative_path)s, %(product)s, %(kind)s, %(field)s, %(spw)s, %(stokes)s,
        %(beam_major_arcsec)s, %(beam_minor_arcsec)s, %(beam_pa_deg)s, %(rms)s, %(unit)s, %(width)s, %(height)s,
        %(channels)s, %(rest_frequency_hz)s)

-- name: image_set_by_locator
-- One image set; no row if there is none with this locator.
SELECT locator, execution_block_locator, mous_uid, casa_version, pipeline_version, qa_notes, ingested_at
FROM image_set
WHERE locator = %(locator)s

-- name: images_of_image_set
-- The names of the images of an image set that the archive has details of; no row if there are none.
SELECT relative_path
FROM image
WHERE image_set_locator = %(locator)s
ORDER BY relative_path

-- name: image_set_set_qa_notes
-- The QA notes of an image set, and what it belongs to; no row if there is no such image set.
UPDATE image_set
SET qa_notes = %(qa_notes)s
WHERE locator = %(locator)s
RETURNING execution_block_locator, mous_uid

-- name: image_set_delete_without_files
-- An image set that has no files, with what belongs to it: it was written while nothing was put into NGAS. One that has
-- files stays.
WITH gone AS (
    DELETE FROM image_set
    WHERE locator = %(locator)s
      AND NOT EXISTS (SELECT FROM file WHERE file.file_group_id = image_set.file_group_id)
    RETURNING file_group_id
)
DELETE FROM file_group USING gone WHERE file_group.file_group_id = gone.file_group_id
