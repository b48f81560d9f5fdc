"""A simulated machine behind the same interface as the driver."""

from gputop.collect.demo.machine import demo_machine

__all__ = ["demo_machine"]
