"""Drawing history in character cells."""
