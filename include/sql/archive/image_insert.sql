-- One image of an image set, as its FITS header and its pixels say; its file has the same relative_path.
INSERT INTO image (image_set_locator, relative_path, product, kind, field, spw, stokes, beam_major_arcsec,
                   beam_minor_arcsec, beam_pa_deg, rms, unit, width, height, channels, rest_frequency_hz)
VALUES (%(image_set_locator)s, %(relative_path)s, %(product)s, %(kind)s, %(field)s, %(spw)s, %(stokes)s,
        %(beam_major_arcsec)s, %(beam_minor_arcsec)s, %(beam_pa_deg)s, %(rms)s, %(unit)s, %(width)s, %(height)s,
        %(channels)s, %(rest_frequency_hz)s)
