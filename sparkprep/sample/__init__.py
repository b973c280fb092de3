"""The embedded graded subsets: real English documents and their exact near-duplicates, built from what is installed."""

from sparkprep.sample.archives import write_archives
from sparkprep.sample.build import Subset, embedded
from sparkprep.sample.comparison import Comparison, compare_words

__all__ = ["Comparison", "Subset", "compare_words", "embedded", "write_archives"]
