"""Train a GPT-2 as llm.c does: python train/train_gpt2.py -o my_first_experiment -b 32 -x 20"""

import sys

from trainer.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
