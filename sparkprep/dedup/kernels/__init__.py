"""Arrays in, arrays out: the compiled part of near-duplicate removal, without Spark."""
