"""gputop: a terminal UI for inspecting NVIDIA GPUs in real time."""

__version__ = "0.1.0"
