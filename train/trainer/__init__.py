"""A trainer of language models in PyTorch that reads and writes llm.c's files: model, state, log, shards."""
