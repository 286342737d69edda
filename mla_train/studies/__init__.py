"""Many runs: how they are started, swept, compared, and what is said of them together."""
