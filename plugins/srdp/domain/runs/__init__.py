"""Requests and pipeline runs: identifiers, states, places, assignments, and what the ledger holds of them.

The rules are here; the ledger's statements are in :mod:`srdp.hooks`, and what is done with a run's files in
:mod:`srdp.domain.disk`.
"""
