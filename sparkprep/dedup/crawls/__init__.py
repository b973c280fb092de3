"""A crawl that goes into an index, or is taken out of it."""
