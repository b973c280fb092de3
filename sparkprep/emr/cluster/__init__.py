"""What a cluster is: its settings, what fits on it, the request for it."""
