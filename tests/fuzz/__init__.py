"""Bytes that nobody meant, thrown at what reads them. See `__main__.py` for how to run it."""
