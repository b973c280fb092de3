"""Arrays in, arrays out: the compiled part of curation, without Spark."""
