"""How well a model completes HellaSwag's sentences: python train/hellaswag.py log/model_00004725.bin"""

import sys

from trainer.launch import launch

if __name__ == "__main__":
    sys.exit(launch("hellaswag"))
