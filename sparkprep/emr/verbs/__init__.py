"""What each verb does, and how it is told."""
