"""Grade a near-duplicate removal: python jobs/grade.py OUTPUT --size 10k"""

import sys

from sparkprep.cli import main

if __name__ == "__main__":
    sys.exit(main(["grade", *sys.argv[1:]]))
