"""What goes into the archive and what the archive says: products, uploads, metadata, and an ALMA MOUS with its files.

NGAS's protocol is in :mod:`srdp.domain.ngas`, the archive's SQL in ``include/sql/archive``.
"""
