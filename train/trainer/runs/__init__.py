"""What a run leaves behind: its log and parameters, their history, plots and copies in a bucket."""
