"""For how long things are kept: the analysts' text file, what has expired, and which removals need a confirmation.

The removal itself is in :mod:`srdp.domain.disk`.
"""
