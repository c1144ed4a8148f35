"""Sensors, one concern a file."""
