"""What a cluster and a run cost, and whether that is what is asked for."""
