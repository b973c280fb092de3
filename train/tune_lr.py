"""Choose the max learning rate of one full run, within a budget: python train/tune_lr.py plan --budget 20"""

import sys

from trainer.launch import launch

if __name__ == "__main__":
    sys.exit(launch("tune"))
