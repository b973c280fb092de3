"""The published rules once more, in plain Python on strings, as their papers and datatrove state them: slow and short.

Words and sentences are those of the package, so that a difference is one of the rules.
"""

import re
from collections import Counter
from collections.abc import Iterator

from sparkprep.filter.kernels.characters import TERMINAL, table
from sparkprep.filter.kernels.words import sentence_spans, split_words
from sparkprep.filter.rules import C4, FINEWEB, GOPHER_QUALITY, GOPHER_REPETITION
from sparkprep.filter.settings import FilterSettings

Answer = tuple[str | None, str]
"""By which rule a text goes, None where it stays; and the text that stays."""
_POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_NO_WORD = 1 << 7


def decide(text: str, settings: FilterSettings) -> Answer:
    """Ask the sets in their order."""
    for name in settings.rules:
        if name == C4:
            rule, text = _c4(text, settings)
        else:
            rule = next((rule for rule in _FAILING[name](text, settings) if rule not in settings.skip), None)
        if rule is not None:
            return rule, text
    return None, text


def _said_before(parts: list[str]) -> tuple[int, int]:
    again = [part for place, part in enumerate(parts) if part in parts[:place]]
    return len(again), sum(map(len, again))


def _repetition(text: str, s: FilterSettings) -> Iterator[str]:
    if not text:
        yield "gopher-empty"
        return
    for parts, name in ((re.split(r"\n{2,}", text.strip()), "paragraph"), (re.split(r"\n+", text), "line")):
        again, chars = _said_before(parts)
        if again / len(parts) > getattr(s, f"gopher_duplicate_{name}s"):
            yield f"gopher-duplicate-{name}s"
        if chars / len(text) > getattr(s, f"gopher_duplicate_{name}_chars"):
            yield f"gopher-duplicate-{name}-chars"
    words = split_words(text)
    for n in (2, 3, 4):
        runs = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
        if runs:
            run, times = runs.most_common(1)[0]
            if len(run) * times / len(text) > getattr(s, f"gopher_top_{n}_gram"):
                yield f"gopher-top-{n}-gram"
    for n in range(5, 11):
        seen, chars, i = set(), 0, 0
        while i + n <= len(words):
            run = "".join(words[i : i + n])
            chars += len(run) if run in seen else 0
            i += n if run in seen else 1
            seen.add(run)
        if chars / len(text) > getattr(s, f"gopher_duplicate_{n}_grams"):
            yield f"gopher-duplicate-{n}-grams"


def _quality(text: str, s: FilterSettings) -> Iterator[str]:
    words = split_words(text)
    real = [word for word in words if any(not table()[ord(char)] & _NO_WORD for char in word)]
    if len(real) < s.gopher_min_words:
        yield "gopher-min-words"
    if len(real) > s.gopher_max_words:
        yield "gopher-max-words"
    if real and sum(map(len, real)) / len(real) < s.gopher_min_word_length:
        yield "gopher-min-word-length"
    if real and sum(map(len, real)) / len(real) > s.gopher_max_word_length:
        yield "gopher-max-word-length"
    if not words:  # datatrove divides by zero here
        yield "gopher-stop-words"
        return
    if text.count("#") / len(words) > s.gopher_hashes:
        yield "gopher-hashes"
    if (text.count("...") + text.count("…")) / len(words) > s.gopher_ellipses:
        yield "gopher-ellipses"
    lines = text.splitlines()
    if sum(line.lstrip()[:1] in ("•", "-") for line in lines if line.strip()) / len(lines) > s.gopher_bullet_lines:
        yield "gopher-bullet-lines"
    if sum(line.rstrip().endswith(("...", "…")) for line in lines) / len(lines) > s.gopher_ellipsis_lines:
        yield "gopher-ellipsis-lines"
    if sum(any(map(str.isalpha, word)) for word in words) / len(words) < s.gopher_alpha_words:
        yield "gopher-alpha-words"
    if len(set(s.gopher_stop_word_list.split()) & set(words)) < s.gopher_stop_words:
        yield "gopher-stop-words"


def _c4(text: str, s: FilterSettings) -> Answer:
    kept, sentences = [], 0
    for line in map(str.strip, text.splitlines()):
        words = line.split()
        if any(len(word) > s.c4_max_word_chars for word in words):
            continue
        if "c4-citations" not in s.skip:
            line = re.sub(r"\[\d*]|\[edit]|\[citation needed]", "", line)
        ends = line.endswith((".", "?", "!", '"', "'")) and not line.endswith("...")
        if not ends and "c4-terminal-punctuation" not in s.skip:
            continue
        if len(words) < s.c4_min_line_words:
            continue
        low = line.lower()
        if "lorem ipsum" in low and "c4-lorem-ipsum" not in s.skip:
            return "c4-lorem-ipsum", text
        if "javascript" in low:
            continue
        if "{" in line and "c4-curly-bracket" not in s.skip:
            return "c4-curly-bracket", text
        if any(phrase in low for phrase in _POLICIES):
            continue
        sentences += max(1, len(sentence_spans(line)))
        kept.append(line)
    if sentences < s.c4_min_sentences:
        return "c4-min-sentences", text
    return None, "\n".join(kept).strip() if s.c4_lines == "remove" else text


def _fineweb(text: str, s: FilterSettings) -> Iterator[str]:
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        yield "fineweb-empty"
        return
    if sum(bool(table()[ord(line[-1])] & TERMINAL) for line in lines) / len(lines) < s.fineweb_line_punctuation:
        yield "fineweb-line-punctuation"
    if sum(len(line) <= s.fineweb_short_line for line in lines) / len(lines) > s.fineweb_short_lines:
        yield "fineweb-short-lines"
    if _said_before(lines)[1] / len(text.replace("\n", "")) > s.fineweb_duplicate_line_chars:
        yield "fineweb-duplicate-line-chars"
    if text.count("\n") / len(split_words(text)) > s.fineweb_new_lines:
        yield "fineweb-new-lines"


_FAILING = {GOPHER_REPETITION: _repetition, GOPHER_QUALITY: _quality, FINEWEB: _fineweb}
