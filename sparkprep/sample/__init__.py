"""The embedded graded subsets: real English documents and their exact near-duplicates, built from what is installed."""

from sparkprep.sample.build import Subset, embedded

__all__ = ["Subset", "embedded"]
