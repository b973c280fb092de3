"""Documents -> those that hold nothing of an evaluation set, and those that hold long runs of its words."""
