"""Stretches of road that several DAGs share, one a file."""
