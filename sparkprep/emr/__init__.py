"""A cluster of EMR: planned and priced, staged, launched, given steps, watched, and ended."""
