"""A prompt's ids are GPT-2's; the greedy encoding is the longest match that it says it is."""

import time

import pytest
from gpt2_bytes import decode
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.tokenizer import vocabulary
from sparkprep.tokenizer.tokenizer import Tokenizer
from sparkprep.tokenizer.vocabulary import END_OF_TEXT, END_OF_TEXT_WORD
from trainer.generate import prompts

PIECES = st.sampled_from(
    [b" the", b"  ", b"<|endoftext|>", b"<|", b">", b"\n\n", b"'ll", b"\xe4\xb8", b"=-=-", b"GitHub"]
)
BYTES = st.lists(st.one_of(PIECES, st.binary(max_size=4), st.text(max_size=4).map(str.encode)), max_size=12).map(
    b"".join
)


def longest_match(prompt):
    """The definition: of all beginnings of what is left, the longest that is a token."""
    known = {**vocabulary.ranks(), END_OF_TEXT_WORD: END_OF_TEXT}
    found = []
    while prompt:
        length = max(n for n in range(1, min(128, len(prompt)) + 1) if prompt[:n] in known)
        found.append(known[prompt[:length]])
        prompt = prompt[length:]
    return found


@given(BYTES)
def test_the_greedy_encoding_is_the_longest_match_and_loses_no_byte(prompt):
    found = prompts.encode_greedy(prompt)
    assert found == longest_match(prompt)
    assert decode(found) == prompt


@given(st.text(max_size=60))
def test_a_prompt_is_encoded_as_tiktoken_does(text):
    if END_OF_TEXT_WORD.decode() not in text:
        assert prompts.encode(text.encode()) == Tokenizer("tiktoken").encode_one(text).tolist()


def test_the_two_encodings_differ_where_longest_match_is_not_gpt2s():
    assert prompts.encode(b"The GitHub project llm.c is a") == [464, 21722, 1628, 32660, 76, 13, 66, 318, 257]
    assert prompts.encode(b"kayaking") != prompts.encode_greedy(b"kayaking")


@pytest.mark.parametrize("encode", [prompts.encode, prompts.encode_greedy])
def test_end_of_text_is_one_token_wherever_it_stands(encode):
    assert encode(b"") == []
    assert encode(b"<|endoftext|>") == [END_OF_TEXT]
    assert encode(b"a<|endoftext|><|endoftext|>b") == [64, END_OF_TEXT, END_OF_TEXT, 65]


def test_bytes_that_are_no_utf8_count_as_the_replacement_character():
    assert decode(prompts.encode(b"a\xffb")) == "a\ufffdb".encode()


@pytest.mark.parametrize("piece", [b"the quick brown fox. ", b" ", b"=-", b"\xc3\x83\xc3\x82", b"z"])
def test_the_greedy_encoding_of_a_long_prompt_takes_no_time_to_speak_of(piece):
    prompt = (piece * 100_000)[:100_000] + b"!"
    prompts.encode_greedy(b"")  # builds its table once
    start = time.process_time()
    found = prompts.encode_greedy(prompt)
    assert time.process_time() - start < 2
    assert decode(found) == prompt


def test_no_token_is_longer_than_the_longest():
    assert max(map(len, vocabulary.tokens())) == prompts.LONGEST_TOKEN
