"""A simulated machine behind the same interface as the driver."""
