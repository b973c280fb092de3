"""Shards -> micro-batches, in llm.c's order."""
