"""What every other room may use: errors that a person reads, the report of a linter, form fields, mails, safe readers.

Nothing here knows of runs, files on shared disks, NGAS, CASA or the archive. What only one room needs lives in that
room.
"""
