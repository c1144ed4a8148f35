"""Links from a task in the grid to the weblog, the run directory and the CASA log."""
