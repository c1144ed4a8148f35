"""Chains of tasks that several DAGs share, one a file; with what the tasks of all DAGs have in common: forms, weights.

They are no task groups of Airflow: decision 30 says why.
"""
