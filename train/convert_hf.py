"""Between llm.c's model files and Hugging Face's folders: python train/convert_hf.py export model.bin gpt2-mine"""

import sys

from trainer.commands.convert_hf import main

if __name__ == "__main__":
    sys.exit(main())
