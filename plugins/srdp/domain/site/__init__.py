"""What a site chooses: engines and their options, the hosts that may have a login, the options of Airflow.

The settings themselves are in :mod:`srdp.settings`; here is what their values mean.
"""
