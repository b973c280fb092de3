"""Turn token rows into llm.c's shards: spark-submit jobs/shards.py --input tokens/ --output shards/"""

import sys

from sparkprep.cli import main

if __name__ == "__main__":
    sys.exit(main(["shards", *sys.argv[1:]]))
