"""Operators, one concern a file."""
