"""Pure Python about pipeline runs, their files and the systems around them; no Airflow import.

One sub-package for each subject; imports between them point one way, from the top of this list down (``lint-imports``
holds it)::

    archiving > casa > retention > disk > raw_data > ppr > imaging > analyst_files > ngas > runs > qa > events > files
    > site > common
"""
