"""The shape of a reading, and the tables that say what its numbers mean."""
