"""Upload a run's logs, and with --all its checkpoints, to S3: `python train/upload_to_s3.py BUCKET EXP CLUSTER`."""

import sys

from trainer.launch import launch

if __name__ == "__main__":
    sys.exit(launch("upload"))
