"""The files that a data analyst submits: what each is called, which stage reads it, and a linter for each.

Flag commands, the selections of CASA that they use, ``flux.csv``, ``antennapos.csv`` and ``cont.dat``. The PPR has a
room of its own (:mod:`srdp.domain.ppr`); how the files get into a run is in :mod:`srdp.domain.disk`.
"""
