"""Mails about pipeline runs."""
