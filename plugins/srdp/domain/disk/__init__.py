"""A run's directory behind the fetch: what CASA is given, delivery, removal, whose files are in it.

Its raw data are in :mod:`srdp.domain.raw_data`. How files are opened, copied and removed safely is in
:mod:`srdp.domain.files`; for how long things are kept is in :mod:`srdp.domain.retention`.
"""
