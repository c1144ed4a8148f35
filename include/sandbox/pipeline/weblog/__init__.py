"""The weblog: the HTML report of a run."""
