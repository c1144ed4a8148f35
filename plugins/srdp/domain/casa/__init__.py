"""A run of CASA: its command line, its log, and what it left, from which success is proved.

Engines, which start and follow it, are in :mod:`srdp.engines`; what is archived of its products is in
:mod:`srdp.domain.archiving`.
"""
