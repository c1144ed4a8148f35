"""Files and directories in places where others can write: opened, written whole, copied, packed and unpacked safely.

Nothing here knows what a file is for. Runs' directories are in :mod:`srdp.domain.disk`, checksums as NGAS records them
in :mod:`srdp.domain.ngas`.
"""
