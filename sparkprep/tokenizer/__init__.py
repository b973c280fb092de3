"""Texts -> GPT-2's token ids, without Spark."""
