"""Settings -> what the kernels ask of each text."""

from __future__ import annotations

import numpy as np

from sparkprep.filter.kernels.judge import BOUNDS, FIRST, Questions
from sparkprep.filter.kernels.words import hash_of_word
from sparkprep.filter.rules import RULES, SETS
from sparkprep.filter.settings import FilterSettings


def questions_of(settings: FilterSettings) -> Questions:
    """Return what is asked by these settings."""
    limits = [float(getattr(settings, rule.setting)) if rule.setting else 0.0 for rule in RULES]
    active = [rule.set in settings.rules and rule.name not in settings.skip for rule in RULES]
    words = dict.fromkeys(settings.gopher_stop_word_list.split())
    return Questions(
        sets=np.array([SETS.index(name) for name in settings.rules], np.int64),
        first=FIRST,
        limits=np.array(limits, np.float64),
        active=np.array(active, np.uint8),
        bounds=BOUNDS,
        stop_words=np.array([hash_of_word(word) for word in words], np.uint64),
        short_line=settings.fineweb_short_line,
        removes_lines=settings.c4_lines == "remove",
    )
