"""What gputop does to the machine: signals and hooks."""
