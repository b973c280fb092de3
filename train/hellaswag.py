"""How well a model completes HellaSwag's sentences: python train/hellaswag.py log/model_00004725.bin"""

import sys

from trainer.commands.hellaswag import main

if __name__ == "__main__":
    sys.exit(main())
