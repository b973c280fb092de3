"""Plot losses, HellaSwag and learning rates of runs: `python train/plot.py EXP [EXP ...]`."""

import sys

from gpt2.plot_cli import main

if __name__ == "__main__":
    sys.exit(main())
