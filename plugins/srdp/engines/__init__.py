"""What runs CASA; no Airflow import."""
