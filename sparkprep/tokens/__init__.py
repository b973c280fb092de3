"""Documents -> token rows -> llm.c shards."""
