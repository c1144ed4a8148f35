"""The raw data of a run: fetched from NGAS, hard-linked for a rerun, compared with what was recorded, read as an SDM.

What NGAS says and holds is in :mod:`srdp.domain.ngas`; the rest of a run's directory is in :mod:`srdp.domain.disk`.
"""
