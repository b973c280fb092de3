"""Text from a checkpoint: python train/inference_gpt2.py -e model_00004725.bin -p "The GitHub project llm.c is a" """

import sys

from trainer.launch import launch

if __name__ == "__main__":
    sys.exit(launch("inference"))
