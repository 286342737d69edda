"""Many runs: sweeps and comparisons, how their runs are started, and their reports."""
