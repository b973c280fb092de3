"""Turn documents into GPT-2 tokens: spark-submit jobs/tokenize.py --input clean/ --output tokens/"""

import sys

from sparkprep.cli import main

if __name__ == "__main__":
    sys.exit(main(["tokenize", *sys.argv[1:]]))
