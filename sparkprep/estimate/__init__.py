"""What a run will take, before it is paid for: from a sample of its documents, or a scan of their signatures."""
