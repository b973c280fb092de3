"""Train a seed model on to the end of its schedule: make train-final SEED_MODEL=seed.bin LR=0.002 DATA=shards"""

import sys

from trainer.launch import launch

if __name__ == "__main__":
    sys.exit(launch("final"))
