"""From an opened run to one that awaits its verdict: raw data, PPR, CASA, the outcome, delivery; and its failure."""
