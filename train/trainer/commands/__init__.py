"""One face for each script of train/."""
