"""Readings as files: text, JSON, CSV, OpenMetrics."""
