"""Connections to the ledger, the archive, NGAS and the locator service."""
