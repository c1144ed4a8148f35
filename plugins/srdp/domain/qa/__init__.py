"""The analyst's verdict in words: the QA report that is read, the verdict, the notes that are written.

What follows from a verdict is in :mod:`srdp.domain.runs.states`; the forms in which it is given are in
:mod:`srdp.families`.
"""
