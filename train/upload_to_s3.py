"""Upload a run's logs, and with --all its checkpoints, to S3: `python train/upload_to_s3.py BUCKET EXP CLUSTER`."""

import sys

from trainer.commands.upload import main

if __name__ == "__main__":
    sys.exit(main())
