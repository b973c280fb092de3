"""Between llm.c's model files and Hugging Face's folders: python train/convert_hf.py export model.bin gpt2-mine"""

import sys

from trainer.launch import launch

if __name__ == "__main__":
    sys.exit(launch("convert_hf"))
