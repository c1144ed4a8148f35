"""Triggers: what waits in the triggerer instead of in a worker."""
