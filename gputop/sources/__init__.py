"""Where records come from: the local collector, and later recordings."""
