"""Reading NVIDIA devices through NVML."""
