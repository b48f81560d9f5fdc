"""What works between gputop and the GPUs, what does not, and what to do about it."""
