"""A command run in our place: its terminal, its signals and its processes."""
