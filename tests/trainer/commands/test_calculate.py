"""`tune_lr.py calculate` prints what the calculators find, and refuses in a line what cannot be calculated."""

import pytest

from trainer.commands import calculate, tune


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (
            "tokens --depth 1 --channels 64",
            "3,335,104 parameters x 20 = 66,702,080 tokens, 128 steps of 524,288",
        ),
        ("steps --tokens 66,702,080", "66,702,080 tokens take 128 steps of 524,288"),
        ("steps --steps 4725", "4,725 steps of 524,288 see 2,477,260,800 tokens"),
        (
            "cover --range 1 2 --epsilon 0.05",
            "10 points: 1.05, 1.15, 1.25, 1.35, 1.45, 1.55, 1.65, 1.75, 1.85, 1.95",
        ),
        ("cover --range -0.1 0.1 --range 0 1 --epsilon 0.5", "1 x 1 = 1 point: (0, 0.5)"),
        ("rates --low 1e-3 --high 4e-3 --octaves 0.5", "2 rates: 0.001414, 0.002828"),
    ],
)
def test_results_are_lines(words: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert calculate.main(words.split()) == 0
    assert capsys.readouterr().out == printed + "\n"


def test_grid_and_random_search_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune.main(["calculate", "search", "--dimensions", "3", "--budget", "27", "--epsilon", "0.05"]) == 0
    head, grid, random, hypercube, cover, take = capsys.readouterr().out.splitlines()
    assert head.split()[0] == "runs"
    assert (grid.split()[:3], random.split()[:3]) == (["grid", "27", "3"], ["random", "27", "27"])
    assert hypercube.startswith("Latin hypercube")
    assert cover == "a cover needs 1,000 points; the budget is 27 runs"
    assert take.startswith("take: random search")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("steps", "one of the arguments --tokens --steps is required"),
        ("tokens --depth 0", "--depth: 0 is below 1"),
        ("cover --range 2 1 --epsilon 0.1", "the range from 2 to 1 ends before it begins"),
        ("rates --low 4e-3 --high 1e-3", "--low 0.004 is above --high 0.001"),
        ("guess", "'guess' is none of tokens, steps, cover, rates, search"),
    ],
)
def test_what_cannot_be_calculated_is_told_in_a_line(words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert calculate.main(words.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
    assert printed.err.count("\n") == 1
