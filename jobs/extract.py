"""Turn crawl archives into documents: spark-submit jobs/extract.py --input warcs/ --output pages/"""

import os
import sys

if __name__ == "__main__":
    # Python puts a script's folder first on its path, where tokenize.py would stand in for Python's own module.
    here = os.path.dirname(os.path.realpath(__file__))  # as Python follows links
    sys.path[:] = [folder for folder in sys.path if os.path.realpath(folder) != here]

    from sparkprep.cli import main

    sys.exit(main(["extract", *sys.argv[1:]]))
