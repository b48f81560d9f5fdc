"""The collector process: reads the driver and the host, and writes records."""
