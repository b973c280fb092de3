"""The cache changes no token, generation ends where it says, and bytes become text that a terminal can bear."""

import numpy as np
import pytest
import torch
from bounds import hidden_roundings, likely
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.errors import UserError
from sparkprep.tokenizer import vocabulary
from sparkprep.tokenizer.vocabulary import END_OF_TEXT
from trainer.generate.generate import TextStream, generate, sample_ids, text_of
from trainer.generate.sampler import Choice, Coins, Sampler, pick
from trainer.models.gpt2 import GPT2, GPT2Shape

SHAPE = GPT2Shape(2, 2, 32, 64)
WORDS = vocabulary.all_tokens()
SINGLE_BYTES = [bytes([byte]) for byte in range(256)]


@pytest.fixture(scope="module")
def model():
    """Larger weights than at the start of a training, so that the next token depends on those before."""
    made = GPT2(SHAPE)
    made.initialise()
    with torch.no_grad():
        made.flat.mul_(6)
    return made


class Scripted(Sampler):
    """Draws what it is told to."""

    def __init__(self, ids):
        super().__init__()
        self.ids = list(ids)

    def draw(self, logits):
        return self.ids.pop(0)


class Recording(Sampler):
    """Draws as any other, and keeps the logits that it was given."""

    def __init__(self, seed, choice=None):
        super().__init__(seed, choice)
        self.seen = []

    def draw(self, logits):
        self.seen.append(np.array(logits))
        return super().draw(logits)


def recomputed(model, ids):
    """Without a cache: the logits after each of the ids, the whole text through the model for each."""
    with torch.no_grad():
        return [model.logits(model.hidden(torch.tensor([ids[: n + 1]]))[0, -1]).numpy() for n in range(len(ids))]


def apart(model):
    """How far rounding may bring logits apart that come from products of different shapes, relative to their terms."""
    terms = SHAPE.channels**0.5 * model.lnf_weight.detach().abs().max() * model.wte.detach().norm(dim=1).max()
    return 2 * likely(hidden_roundings(SHAPE, SHAPE.max_seq_len) + SHAPE.channels) * float(terms)


@pytest.mark.parametrize("choice", [Choice(), Choice(temperature=0), Choice(0.7, top_k=50, top_p=0.9)])
@pytest.mark.parametrize("prompt", [[END_OF_TEXT], [464, 21722, 1628, 32660, 76, 13, 66, 318, 257]])
def test_the_cache_gives_the_logits_that_computing_everything_anew_gives(model, choice, prompt):
    sampler = Recording(7, choice)
    cached = list(generate(model, prompt, max_new=40, sampler=sampler, stop_at_end_of_text=False))
    # Logits are compared, since a coin may fall where the last digit decides between two ids.
    expected = recomputed(model, [*prompt, *cached[:-1]])[len(prompt) - 1 :]
    np.testing.assert_allclose(sampler.seen, expected, rtol=0, atol=apart(model))
    again = Sampler(7, choice)
    assert cached == [again.draw(logits) for logits in sampler.seen]
    assert len(set(cached)) > 1 or choice.temperature == 0


def test_the_same_seed_writes_the_same_text_and_another_seed_another(model):
    def write(seed):
        return list(generate(model, [5], max_new=20, sampler=Sampler(seed)))

    assert write(1) == write(1)
    assert write(1) != write(2)


def test_it_ends_with_end_of_text_if_asked(model):
    script = [1, 2, END_OF_TEXT, 3, 4]
    stopped = generate(model, [9], max_new=5, sampler=Scripted(script))
    assert list(stopped) == [1, 2, END_OF_TEXT]
    through = generate(model, [9], max_new=5, sampler=Scripted(script), stop_at_end_of_text=False)
    assert list(through) == script


@pytest.mark.parametrize(
    ("prompt", "max_new", "max_seq_len", "expected"),
    [(60, 100, None, 4), (60, 3, None, 3), (10, 100, 16, 6), (63, 1, None, 1), (1, 0, None, 0), (1, 100, None, 63)],
)
def test_it_ends_after_max_new_or_where_the_positions_do(model, prompt, max_new, max_seq_len, expected):
    found = list(generate(model, [7] * prompt, max_new=max_new, sampler=Scripted([8] * 99), max_seq_len=max_seq_len))
    assert len(found) == expected


@pytest.mark.parametrize(
    ("prompt", "max_seq_len", "told"),
    [(0, None, "empty prompt"), (64, None, "64 tokens"), (16, 16, "16 tokens"), (1, 65, "the model has 64")],
)
def test_a_prompt_without_room_is_refused_before_anything_is_asked_of_it(model, prompt, max_seq_len, told):
    with pytest.raises(UserError, match=told):
        generate(model, [7] * prompt, max_new=1, sampler=Sampler(), max_seq_len=max_seq_len)


def test_a_sample_during_training_is_llm_cs(model):
    found = sample_ids(model, 20)
    assert len(found) == 19
    coins = Coins(1337)
    for token, logits in zip(found, recomputed(model, [END_OF_TEXT, *found[:-1]]), strict=True):
        probabilities, coin = Choice().probabilities(logits), coins.next()
        off = 2 * apart(model)  # of a probability, and so of their sum, relative
        assert pick(probabilities, max(0.0, coin - off)) <= token <= pick(probabilities, min(1.0, coin + off))
    assert sample_ids(model, 1) == []
    assert len(sample_ids(model, 500)) == SHAPE.max_seq_len - 1


def test_a_sample_leaves_the_model_trainable(model):
    sample_ids(model, 4)
    ids = torch.tensor([[1, 2, 3]])
    model(ids, ids).backward()
    assert model.wpe.grad is not None
    model.zero_grad()


def test_a_bfloat16_model_writes_too():
    made = GPT2(SHAPE, dtype=torch.bfloat16)
    made.initialise()
    assert len(sample_ids(made, 5)) == 4


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\t\n\r")))
def test_text_comes_whole_however_its_bytes_are_cut(text):
    assert text_of(list(text.encode()), SINGLE_BYTES) == text


@given(st.binary())
def test_any_bytes_become_printable_utf8_that_comes_piece_by_piece(data):
    stream = TextStream(SINGLE_BYTES)
    pieces = [*map(stream.feed, data), stream.end()]
    shown = "".join(pieces)
    shown.encode("utf-8")
    expected = [c for c in data.decode("utf-8", "replace") if c in "\t\n\r" or not (c < " " or "\x7f" <= c <= "\x9f")]
    assert shown == "".join(expected)


def test_a_character_is_shown_when_its_last_byte_has_come():
    stream = TextStream(SINGLE_BYTES)
    assert [stream.feed(byte) for byte in "é€".encode()] == ["", "é", "", "", "€"]
    assert stream.feed(0xE2) == ""
    assert stream.end() == "\ufffd"
    assert stream.feed(0x41) == "A"


def test_ids_beyond_the_words_show_their_number():
    assert text_of([464, 50256, 60000], WORDS) == "The<|endoftext|><|60000|>"
