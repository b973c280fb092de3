"""The binary files of llm.c: one module for each format, with its header fields named."""
