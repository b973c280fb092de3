"""What a run tells: metrics.json and report.html."""
