"""The form of every DAG: its fields, the validator of each, and what is said of wrong input.

The kinds of fields are in :mod:`srdp.domain.common.form_fields`.
"""
