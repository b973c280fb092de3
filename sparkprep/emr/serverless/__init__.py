"""The same jobs on EMR Serverless."""
