"""The form of every DAG: its fields, the validator of each, and the messages about wrong input.

The kinds of fields are in :mod:`srdp.domain.common.form_fields`.
"""
