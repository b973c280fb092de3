"""What the evaluation on HellaSwag promises: llm.c's scores from a fraction of its work, and files that tell them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from bounds import BFLOAT16, TRANSCENDENTAL, hidden_roundings, likely, loss_roundings, worst
from hellaswag_questions import SMALL, examples_of, model_of
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkprep.errors import UserError
from sparkprep.llmc import header, hellaswag_questions
from sparkprep.llmc import hellaswag as files
from sparkprep.llmc.hellaswag import Example
from trainer.evaluate import hellaswag
from trainer.evaluate.hellaswag import Questions, evaluate, prepare
from trainer.flags import BATCH_TOKENS
from trainer.models.gpt2 import GPT2, GPT2Shape

REAL_LENGTHS = {"context": (9, 115), "ending": (3, 51)}  # as in the validation set: rows of 83 tokens on average


def largest_logit(model: GPT2) -> float:
    """What no logit's terms exceed in sum: the lengths of a hidden state and of a row of wte (Cauchy and Schwarz)."""
    hidden = model.shape.channels**0.5 * float(model.lnf_weight.detach().abs().max())
    return hidden * float(model.wte[: model.shape.vocab_size].detach().norm(dim=1).max())


def apart(model: GPT2) -> float:
    """How far rounding may bring two scores of one ending apart that come from products of different shapes."""
    length = model.shape.max_seq_len
    of_logits = likely(hidden_roundings(model.shape, length) + model.shape.channels) * largest_logit(model)
    return 2 * (likely(loss_roundings(model.shape, length)) + of_logits)


def clear(model: GPT2, scores: np.ndarray) -> np.ndarray:
    """Of each example, whether rounding cannot change which ending has the least score; nearly all are."""
    least = np.sort(scores, axis=1)
    decided = least[:, 1] - least[:, 0] > 2 * apart(model)
    assert decided.mean() > 0.9
    return decided


def plain_scores(model: GPT2, examples: list[Example]) -> np.ndarray:
    """llm.c's way: rows padded to max_seq_len, all logits, a mask over the ending; float32 (n, 4)."""
    shape = model.shape
    scores = np.zeros((len(examples), 4), np.float32)
    for example in examples:
        rows = torch.zeros(4, shape.max_seq_len, dtype=torch.int64)
        mask = torch.zeros(4, shape.max_seq_len)
        start = len(example.context)
        for number, ending in enumerate(example.endings):
            row = torch.tensor([*example.context.tolist(), *ending.tolist()])
            rows[number, : len(row)] = row
            mask[number, start : len(row)] = 1
        with torch.no_grad():
            logits = F.linear(model.hidden(rows), model.wte)[:, :-1, : shape.vocab_size]
        loss = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none").view(4, -1)
        scores[example.index] = ((loss * mask[:, 1:]).sum(1) / mask[:, 1:].sum(1)).numpy()
    return scores


def test_the_scores_are_those_of_rows_padded_to_the_full_length(model: GPT2, asked: tuple[str, list[Example]]) -> None:
    path, examples = asked
    result = evaluate(model, prepare(path, SMALL.max_seq_len), batch_tokens=100)
    expected = plain_scores(model, examples)
    assert np.ptp(expected) > 1000 * apart(model)  # or the test would see nothing
    np.testing.assert_allclose(result.scores, expected, rtol=0, atol=apart(model))
    assert result.scores.dtype == np.float32
    assert result.predictions.dtype == np.int8
    picks = np.where(clear(model, expected), expected.argmin(1), result.predictions)
    assert result.predictions.tolist() == picks.tolist()
    correct = sum(int(picked) == each.label for picked, each in zip(picks, examples, strict=True))
    assert (result.correct, result.total, result.accuracy) == (correct, 40, correct / 40)


def test_scores_agree_with_initial_weights(asked: tuple[str, list[Example]]) -> None:
    path, examples = asked
    fresh = model_of(SMALL, scale=1.0)
    found = evaluate(fresh, prepare(path, SMALL.max_seq_len)).scores
    assert apart(fresh) < 3e-5
    np.testing.assert_allclose(found, plain_scores(fresh, examples), rtol=0, atol=apart(fresh))


@settings(max_examples=10)
@given(budget=st.integers(1, 3000))
def test_no_batch_size_changes_an_answer(model: GPT2, asked: tuple[str, list[Example]], budget: int) -> None:
    questions = prepare(asked[0], SMALL.max_seq_len)
    whole, parts = evaluate(model, questions, batch_tokens=1 << 20), evaluate(model, questions, batch_tokens=budget)
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=0, atol=apart(model))
    decided = clear(model, whole.scores)
    assert parts.predictions[decided].tolist() == whole.predictions[decided].tolist()
    rows = [(each.stop - each.start) * int(questions.lengths[each.start] - 1) for each in questions.plan(budget)]
    assert all(
        size <= budget or each.stop - each.start == 1 for size, each in zip(rows, questions.plan(budget), strict=True)
    )


@pytest.mark.parametrize("budget", sorted(BATCH_TOKENS.values()))
def test_an_eighth_of_the_padded_tokens_is_more_than_it_computes(tmp_path: Path, budget: int) -> None:
    shape = GPT2Shape(1, 1, 2, max_seq_len=1024, vocab_size=300)
    path = str(tmp_path / "hellaswag_val.bin")
    files.write(path, examples_of(2, 300, **REAL_LENGTHS, vocab=shape.vocab_size))
    questions = prepare(path, shape.max_seq_len)
    tiny, seen = model_of(shape), []
    hidden = tiny.hidden
    tiny.hidden = lambda ids: seen.append(ids.numel()) or hidden(ids)  # type: ignore[method-assign]
    told: list[int] = []
    result = evaluate(tiny, questions, batch_tokens=budget, progress=told.append)
    assert seen == told
    assert sum(seen) == result.tokens_computed
    assert questions.padded_tokens == 300 * 4 * 1024
    assert result.tokens_computed * 8 <= questions.padded_tokens


def test_of_equal_scores_the_first_ending_is_picked(asked: tuple[str, list[Example]]) -> None:
    result = evaluate(GPT2(SMALL), prepare(asked[0], SMALL.max_seq_len))  # all weights zero: every token as likely
    # A sum of 300 ones is exact; its logarithm is not.
    np.testing.assert_allclose(result.scores, np.log(SMALL.vocab_size), rtol=worst(TRANSCENDENTAL))
    assert not result.predictions.any()


def test_equal_endings_get_the_very_same_score_in_any_batch(model: GPT2, tmp_path: Path) -> None:
    examples = [
        Example(
            each.index, each.label, each.context, (each.endings[0], each.endings[1], each.endings[0], each.endings[1])
        )
        for each in examples_of(3, 30, (2, 25), (1, 14), SMALL.vocab_size)
    ]
    path = str(tmp_path / "hellaswag_val.bin")
    files.write(path, examples)
    for budget in (1, 77, 5000):
        result = evaluate(model, prepare(path, SMALL.max_seq_len), batch_tokens=budget)
        assert (result.scores[:, :2] == result.scores[:, 2:]).all()
        assert (result.predictions < 2).all()


def test_a_model_in_bfloat16_answers_nearly_the_same(model: GPT2, asked: tuple[str, list[Example]]) -> None:
    short = GPT2(SMALL, dtype=torch.bfloat16)
    short.flat.copy_(model.flat)
    questions = prepare(asked[0], SMALL.max_seq_len)
    scores, usual = evaluate(short, questions).scores, evaluate(model, questions).scores
    # 25 results on the way to a logit are rounded to bfloat16 (sums are float32), of which sqrt(25) u of it remains; a
    # logit's standard deviation is 1.6, and a loss is the difference of two. Of other tokens scores differ by 0.7.
    assert worst(2) * usual.max() < np.median(np.abs(scores - usual)) < 5 * BFLOAT16 * 1.6 * 2**0.5


def test_training_goes_on_after_an_evaluation(asked: tuple[str, list[Example]]) -> None:
    model = model_of(SMALL)
    before = model.flat.clone()
    evaluate(model, prepare(asked[0], SMALL.max_seq_len))
    model(torch.ones(1, 4, dtype=torch.int64), torch.ones(1, 4, dtype=torch.int64)).backward()
    assert torch.equal(model.flat, before)
    assert model.wte.grad is not None


def test_a_row_longer_than_the_models_positions_is_refused(asked: tuple[str, list[Example]]) -> None:
    path, _ = asked
    assert len(prepare(path, 40)) == 40
    with pytest.raises(UserError, match=r"hellaswag_val\.bin: example 17 takes 40 tokens, and the model has 39"):
        prepare(path, 39)


def test_a_limit_takes_the_first_examples(model: GPT2, asked: tuple[str, list[Example]]) -> None:
    whole, part = (evaluate(model, prepare(asked[0], 40, limit)) for limit in (None, 7))
    assert part.total == 7
    np.testing.assert_allclose(part.scores, whole.scores[:7], rtol=0, atol=apart(model))
    assert len(prepare(asked[0], 40, 1000)) == 40


def _empty(path: Path) -> None:
    path.write_bytes(header.pack(files.MAGIC, files.VERSION, 0, 0))


def _cut(path: Path) -> None:
    files.write(str(path), examples_of(4, 3, (2, 9), (1, 9), 300))
    path.write_bytes(path.read_bytes()[:-3])


def _without_context(path: Path) -> None:
    ending = np.ones(2, np.uint16)
    files.write(str(path), [Example(0, 0, np.empty(0, np.uint16), (ending,) * 4)])


def _without_ending(path: Path) -> None:
    token = np.ones(2, np.uint16)
    files.write(str(path), [Example(0, 0, token, (token, token, token, np.empty(0, np.uint16)))])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_empty, "no example"),
        (_cut, "cut short at example 2 of 3"),
        (_without_context, "example 0 has no tokens"),
        (_without_ending, "example 0 has no tokens"),
        (lambda path: path.write_bytes(b"PAR1" * 300), "it is a Parquet file"),
        (lambda path: path.write_bytes(b""), "it is empty"),
    ],
)
def test_a_file_that_cannot_be_asked_is_refused_by_name(tmp_path: Path, make: object, said: str) -> None:
    path = tmp_path / "asked.bin"
    make(path)  # type: ignore[operator]
    with pytest.raises(UserError, match=said) as raised:
        prepare(str(path), 1024)
    assert str(path) in str(raised.value)


def _write_questions(path: Path, count: int) -> None:
    lines = [
        {
            "ctx": f"A man number {k} sits",
            "endings": [f"down {word}." for word in ["on", "at", "by", "in"]],
            "label": k % 4,
        }
        for k in range(count)
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")


def test_json_lines_are_asked_as_the_binary_file_made_of_them(tmp_path: Path) -> None:
    text, binary = tmp_path / "asked.jsonl", tmp_path / "asked.bin"
    _write_questions(text, 9)
    files.write(str(binary), hellaswag_questions.tokenise(hellaswag_questions.read_questions(str(text))))
    one, other = prepare(str(text), 64), prepare(str(binary), 64)
    for name in ("labels", "row_of", "tokens", "lengths", "endings"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert len(prepare(str(text), 64, limit=2)) == 2


def test_the_csv_tells_each_example_with_all_digits(
    model: GPT2, asked: tuple[str, list[Example]], tmp_path: Path
) -> None:
    path, examples = asked
    questions = prepare(path, 40)
    result = evaluate(model, questions)
    target = tmp_path / "scores.csv"
    hellaswag.write_scores(str(target), result, questions)
    rows = list(csv.DictReader(target.open()))
    assert list(rows[0]) == ["index", "label", "predicted", "correct", "score_0", "score_1", "score_2", "score_3"]
    assert [int(row["index"]) for row in rows] == list(range(40))
    assert [int(row["label"]) for row in rows] == [each.label for each in examples]
    assert [int(row["predicted"]) for row in rows] == result.predictions.tolist()
    assert sum(int(row["correct"]) for row in rows) == result.correct
    scores = np.array([[row[f"score_{k}"] for k in range(4)] for row in rows]).astype(np.float32)
    assert np.array_equal(scores, result.scores)
    assert [each.name for each in tmp_path.iterdir()] == ["scores.csv"]
    with pytest.raises(UserError, match="cannot be written"):
        hellaswag.write_scores(str(tmp_path / "missing" / "scores.csv"), result, questions)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_wilsons(correct: int, total: int, low: float, high: float) -> None:
    result = hellaswag.HellaSwagResult(correct, total, np.zeros(total, np.int8), np.zeros((total, 4), np.float32), 0)
    assert result.interval() == pytest.approx((low, high), abs=5e-5)


def test_the_plan_holds_every_row_once_and_the_longest_first(asked: tuple[str, list[Example]]) -> None:
    questions: Questions = prepare(asked[0], 40)
    assert (np.diff(questions.lengths) <= 0).all()
    covered = [row for each in questions.plan(123) for row in range(each.start, each.stop)]
    assert covered == list(range(len(questions.lengths)))
