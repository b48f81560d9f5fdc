"""What the readings mean: warnings now, verdicts next."""
