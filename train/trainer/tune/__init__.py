"""Find a learning rate for one full run with money for less than two: planned, priced, and with its uncertainty."""
