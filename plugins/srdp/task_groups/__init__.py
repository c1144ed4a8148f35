"""Parts of the task chain that several DAGs share, one a file."""
