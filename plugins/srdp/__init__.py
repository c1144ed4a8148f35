"""Science Ready Data Products workflows: the library behind the DAGs."""
