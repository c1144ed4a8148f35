"""The NGAS protocol: requests and answers, checksums, copies of a file, and the report of where files are.

Which files a run fetches is in :mod:`srdp.domain.disk`, what is archived in :mod:`srdp.domain.archiving`.
"""
