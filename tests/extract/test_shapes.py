"""What is said to be HTML and is not, told by its bytes; and what could be HTML, which stays."""

import json
import random
import time

import brotli
import pytest

from sparkprep.extract.shapes import BINARY, JSON, SCRIPT, UNTAGGED, what_else

LONG = json.dumps([{"key": 'wörd [] {} <p>"\\' * 9, "n": [1, -2.5e9, None, True]}] * 2_000)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"%PDF-1.4 words", BINARY),
        (brotli.compress(b"<html>" + random.Random(1).randbytes(900)), BINARY),
        (b'{"a": "The harvest <b>festival</b>"}', JSON),
        (b"\xef\xbb\xbf [1, 2.5, [], {}]\n", JSON),
        (LONG.encode(), JSON),
        (json.dumps({"a": "й" * 70_000}, ensure_ascii=False).encode(), JSON),
        (b"var x = function(){return 1;};\n" * 50, SCRIPT),
        (b"/*! jQuery v3 | (c) */\n!function(e,t){if(a<n)t(e)}(window);", SCRIPT),
        (b"// a line\n'use strict';\n(function () {\n  return 1;\n})()", SCRIPT),
        (b"window.dataLayer = window.dataLayer || [];", SCRIPT),
        (b"(() => { go(); })();", SCRIPT),
        (b"<html><p>text", None),
        (b"Plain words, without one tag.", None),
        (b"[1] A footnote, and [2] another one]", None),
        (b'{"debug": 1}<html><p>the page}', None),
        (b'{"a": 1} is what {JSON} looks like}', None),
        (b"var x = 1; <p>is how a script begins;", None),
        (b"function is a word (of mathematics)", None),
        (b"function sine (of an angle)", None),
        (b"document (of 1999) and more;", None),
        (b"let us go; the document (of 1999) says so;", None),
        (b"var x = 1;</script><script>f();</script>;", None),
        (b"", None),
    ],
)
def test_html_is_what_is_said_to_be_it_and_surely_nothing_else(data: bytes, what: str | None) -> None:
    assert what_else(data, is_told=True) == what


def test_what_is_said_to_be_nothing_must_begin_as_html_does() -> None:
    assert what_else(b"\n<!DOCTYPE html><p>text", is_told=False) is None
    assert what_else("<html><p>text".encode("utf-16-le"), is_told=False) is None
    assert what_else(b"plain words", is_told=False) == UNTAGGED
    assert what_else(bytes(100), is_told=False) == BINARY


@pytest.mark.parametrize("part", [b"/*", b"//", b"/* */", b"{", b'["', b'"\\', b"'use strict'", b"var ", b"(a,", b"<p"])
def test_a_body_made_to_be_slow_is_looked_at_in_a_moment(part: bytes) -> None:
    start = time.process_time()
    for end in (b"}", b"]", b";", b"/"):
        for begin in (b"", b"{", b"[", b"(", b"!function "):
            what_else(begin + part * (200_000 // len(part)) + end, is_told=True)
    assert time.process_time() - start < 4
