"""A GPT-2 trainer in PyTorch that reads and writes llm.c's files: model, state, log, shards."""
