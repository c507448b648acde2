"""Fair comparisons of methods: a plan, trials of each, the best settings on every fold with several seeds, one report."""
