"""What can happen to a pipeline run: the names of events, and what is known about each.

Who records them, and when, is in :mod:`srdp.hooks.ledger`; an event that was recorded is in :mod:`srdp.domain.runs`.
"""
