"""Plot losses, HellaSwag and learning rates of runs: `python train/plot.py EXP [EXP ...]`."""

import sys

from trainer.launch import launch

if __name__ == "__main__":
    sys.exit(launch("plot"))
