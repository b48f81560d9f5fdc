"""Reading NVIDIA devices through NVML."""

from gputop.collect.nvml.deadlines import Deadlines
from gputop.collect.nvml.devices import NvmlDevices

__all__ = ["Deadlines", "NvmlDevices"]
