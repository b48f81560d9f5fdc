"""The device screen's parts: the sections of its text, and its charts."""
