"""The strategies, by name."""
