"""The documents nearest to each rule's threshold: of every rule, on either side, the same on any partitioning."""

import random
from itertools import pairwise

import pyarrow as pa
import pytest

from sparkprep.filter.judging import SHOWN, Columns, Tally, note_border
from sparkprep.filter.kernels.judge import judge
from sparkprep.filter.questions import questions_of
from sparkprep.filter.rules import RULES, SETS
from sparkprep.filter.settings import FilterSettings

ODD = ("The same line again, said of old.", "1 2 3 4 5", "And more of it...", "- an item # 3 of that", "No end here")


def texts(seed: int) -> list[str]:
    """Texts on both sides of many thresholds, each of them perhaps more than once."""
    picked = random.Random(seed)

    def line() -> str:
        word = ["".join(picked.choices("abcdefghijklmnop", k=5)) for _ in range(8)]
        return picked.choice(ODD) if picked.random() < 0.1 else " ".join(["The", *word, "of"]) + "."

    some = ["\n".join(line() for _ in range(picked.randint(1, 24))) for _ in range(80)]
    return picked.choices(some, k=200)


def noted(given: list[str], settings: FilterSettings, cuts: list[int]) -> Tally:
    """What tasks tell that have a part of the documents each, in any order, taken together."""
    questions, whole, tallies = questions_of(settings), Tally(), []
    for start, end in pairwise([0, *cuts, len(given)]):
        tallies.append(Tally())
        for first in range(start, end, 7):
            part = pa.array(given[first : min(end, first + 7)], pa.string())
            batch = pa.record_batch({"text": part, "id": pa.array(range(first, first + len(part)))})
            found = judge(part, questions)
            note_border(batch, part, found, Columns("text", "id", None), questions, first, tallies[-1])
    for each in reversed(tallies):
        whole.add(each)
    return whole


def expected(given: list[str], settings: FilterSettings, rule: str, stays: bool) -> list[tuple[float, str]]:
    """(distance, id) of the nearest, from all documents at once in plain Python."""
    place = next(n for n, each in enumerate(RULES) if each.name == rule)
    found, limit = judge(pa.array(given), questions_of(settings)), getattr(settings, RULES[place].setting or "")
    rows: dict[str, tuple[float, int]] = {}
    for n, text in enumerate(given):
        value = found.measured[n, place]
        if value == value and (found.rule[n] < 0 if stays else found.rule[n] == place):
            rows.setdefault(text, (abs(value - limit) / max(abs(limit), 1e-9), n))
    return [(far, str(n)) for far, n in sorted(rows.values())[:SHOWN]]


@pytest.mark.parametrize("settings", [FilterSettings(), FilterSettings(rules=SETS, c4_min_sentences=9)])
def test_of_every_rule_the_nearest_documents_on_either_side_are_noted(settings: FilterSettings) -> None:
    given = texts(len(settings.rules))
    one, three = (noted(given, settings, cuts) for cuts in ([], [11, 120]))
    assert one.nearest == three.nearest
    for rule in RULES:
        if rule.set in settings.rules and rule.setting and not rule.of_lines:
            for stays in (False, True):
                rows = one.nearest.get((rule.name, stays), [])
                assert [(r["distance"], r["id"]) for r in rows] == expected(given, settings, rule.name, stays)
            assert len({row["text"] for row in one.nearest[rule.name, True]}) == SHOWN, rule.name


def test_a_rule_that_is_not_asked_has_no_border() -> None:
    settings = FilterSettings(rules="gopher-quality", skip=("gopher-stop-words",))
    found = {name for name, _ in noted(texts(5), settings, []).nearest}
    assert "gopher-stop-words" not in found
    assert found <= {rule.name for rule in RULES if rule.set == "gopher-quality"}
