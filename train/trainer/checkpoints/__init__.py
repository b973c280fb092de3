"""llm.c's files, one module for each: model, state, and the checkpoint of both; the folder that holds them."""
