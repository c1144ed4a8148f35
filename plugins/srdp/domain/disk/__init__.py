"""A run's directory after the fetch: CASA's input, delivery, removal, ownership of files.

Its raw data are in :mod:`srdp.domain.raw_data`. How files are opened, copied and removed safely is in
:mod:`srdp.domain.files`; for how long things are kept is in :mod:`srdp.domain.retention`.
"""
