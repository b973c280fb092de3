"""Train a GPT-2 as llm.c does: python train/train_gpt2.py -o my_first_experiment -b 32 -x 20"""

import sys

from trainer.launch import launch

if __name__ == "__main__":
    sys.exit(launch("train"))
