"""For how long things are kept: the analysts' text file, what has expired, and what is not removed without a question.

The removal itself is in :mod:`srdp.domain.disk`.
"""
