-- The names of the images of an image set that the archive can tell something of; no row if there are none.
SELECT relative_path
FROM image
WHERE image_set_locator = %(locator)s
ORDER BY relative_path
