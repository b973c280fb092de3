"""Files and folders, local or on S3: the one place that knows the difference."""
