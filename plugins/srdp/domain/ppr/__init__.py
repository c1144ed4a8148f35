"""The pipeline processing request (PPR): written from a template, read as the pipeline reads it, linted and adapted.

The files that are submitted with it are in :mod:`srdp.domain.analyst_files`.
"""
