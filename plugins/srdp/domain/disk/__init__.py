"""A run's directory from the fetch to the removal: raw data, what CASA is given, delivery, whose files are in it.

How files are opened, copied and removed safely is in :mod:`srdp.domain.files`; for how long things are kept is in
:mod:`srdp.domain.retention`.
"""
