"""The former name of tokens.py, until the next version: spark-submit jobs/tokens.py --input clean/ --output tokens/"""

import os
import runpy
import sys

if __name__ == "__main__":
    print("note: jobs/tokenize.py is now jobs/tokens.py; the old name goes with the next version", file=sys.stderr)
    runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokens.py"), run_name="__main__")
