"""What the HTML pages of all jobs have in common."""
