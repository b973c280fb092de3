"""How well a model completes HellaSwag's sentences: python train/hellaswag.py log/model_00004725.bin"""

import sys

from gpt2.hellaswag_cli import main

if __name__ == "__main__":
    sys.exit(main())
