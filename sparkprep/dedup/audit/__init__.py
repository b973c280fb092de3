"""What a finished run decided, looked at afterwards: by its result folder alone, without Spark."""
