"""What the PPRs of VLA and of ALMA have of their own: how each names its data, and what its stages must be given.

What both have in common is linted in :mod:`srdp.domain.ppr.lint`.
"""
