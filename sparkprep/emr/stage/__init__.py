"""What a cluster needs, built and put on S3."""
