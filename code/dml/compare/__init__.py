"""Fair comparisons: a plan, trials of each method, the best settings on every fold with several seeds, one report."""
