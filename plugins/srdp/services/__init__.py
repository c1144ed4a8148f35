"""What is done with pipeline runs: opened, processed, ingested, removed, assigned; no Airflow import.

A service is a function. It takes one context (:mod:`srdp.services.context`), which the step that calls it makes once,
and what the form says; it raises :class:`~srdp.domain.common.errors.SrdpError`, and returns what the step hands on.
What depends on how a task lives (deferral, skipping, retries, XComs, other DAG runs) is in :mod:`srdp.operators`; rules
that need no database and no settings are in :mod:`srdp.domain`.

One sub-package for each part of a run's life; imports between them point one way, from the left to the right
(``lint-imports`` holds it)::

    reconcile > removal > ingesting > opening > processing > assignment > the modules here > context
"""
