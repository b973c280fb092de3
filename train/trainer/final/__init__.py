"""The final run, looked at before it spends."""
