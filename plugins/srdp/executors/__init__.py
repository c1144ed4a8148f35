"""Executors of Airflow that start this project's steps sooner."""
