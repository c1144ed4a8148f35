"""The sandbox's CASA pipeline: it honours the contract of the observatory's own, which is on no package registry.

This folder is what ``SCIPIPE_HEURISTICS`` names. It runs in CASA's Python and imports neither Airflow nor ``srdp``.
"""
