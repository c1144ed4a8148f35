"""Pure Python about pipeline runs, their files and the systems around them; no Airflow import."""
