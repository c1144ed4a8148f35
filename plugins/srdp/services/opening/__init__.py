"""Opening a run: a calibration, the images that a user asks for, or a rerun of either.

Everything is checked before the ledger has a row; the row comes before the directory.
"""
