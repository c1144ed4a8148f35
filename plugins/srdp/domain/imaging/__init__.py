"""What a user asks of an ALMA MOUS, how large that would be, and what its images' headers say.

What is archived of the images is in :mod:`srdp.domain.archiving`.
"""
