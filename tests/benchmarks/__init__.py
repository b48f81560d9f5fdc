"""What gputop costs beside other monitors: `python -m tests.benchmarks`. See README.md here."""
