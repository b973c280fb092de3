"""Remove near-duplicate documents: spark-submit jobs/dedup.py --size 10k"""

import sys

from sparkprep.cli import main

if __name__ == "__main__":
    sys.exit(main(["dedup", *sys.argv[1:]]))
