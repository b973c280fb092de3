"""Arrays in, arrays out: words of texts, and the n-grams of evaluation sets among them, without Spark."""
