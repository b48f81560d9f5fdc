"""The filter language of the process table."""
