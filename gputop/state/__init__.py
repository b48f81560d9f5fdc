"""What the readings so far add up to: history and the last good values."""
