"""What people say in forms, where several fields belong together: a failed QA, a verdict that is taken back.

The kinds of fields are in :mod:`srdp.domain.common.form_fields`, the forms themselves in :mod:`srdp.families.forms`.
"""
