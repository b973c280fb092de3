"""llm.c's files, one module for each: model, state, checkpoint folder, main.log, run_parameters.txt."""
