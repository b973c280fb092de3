"""The face of `sparkprep peek`: what is in a token shard, a tokenizer file or a HellaSwag file, as text."""

from __future__ import annotations

import argparse
import itertools
import shlex
from typing import TYPE_CHECKING

from sparkprep.console import Exit, add_debug, safe_text, say
from sparkprep.errors import UserError
from sparkprep.io.paths import is_local

if TYPE_CHECKING:
    from sparkprep.llmc.hellaswag import Example
    from sparkprep.llmc.peek import Document, Tokens

EPILOG = """\
examples:
  %(prog)s fineweb_train_000001.bin                  header, statistics, the beginnings of three documents
  %(prog)s fineweb_train_000001.bin --document 17    the whole text of one
  %(prog)s gpt2_tokenizer.bin --documents 50         its first 50 tokens
  %(prog)s hellaswag_val.bin --document 0            one example
  %(prog)s s3://bucket/run/shards/fineweb_train_000001.bin      its header and first tokens, no more is read

Of a shard on S3 the beginning is read and told of. Documents of a shard are numbered from 1; one that began in the
shard before is "document 0 (continued)". Examples of HellaSwag are numbered from 0. Control characters in
texts are shown as escapes.

exit code: 0; 1 where a shard has tokens that are none of GPT-2's; 2 if the file cannot be read
"""

# What reads the files is imported where it is used: --help and a wrong flag need neither NumPy nor the vocabulary.
SHOWN_CHARACTERS = 400
_SHOWN_COUNT = 3
_SHOWN_TOKENS = 10
_READ_OF_REMOTE = 1 << 17
"""Tokens at the beginning of a shard on S3 that are read: 256 KiB."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("file", metavar="FILE.bin", help="token shard, tokenizer file or HellaSwag file of llm.c")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--document", type=int, metavar="N", help="show the whole of this document (example) alone")
    which.add_argument(
        "--documents",
        type=int,
        metavar="COUNT",
        help=f"show so many from the beginning (default {_SHOWN_COUNT}; of a tokenizer file {_SHOWN_TOKENS} tokens)",
    )
    add_debug(parser)


def run(args: argparse.Namespace) -> int:
    """Print what is in the file; 0, or 1 where its tokens are not all GPT-2's. Raises UserError for another file."""
    from sparkprep.llmc import header

    for flag, value in (("--document", args.document), ("--documents", args.documents)):
        if value is not None and value < 0:
            raise UserError(f"{flag} {value} is below 0; give 0 or more")
    first, _ = header.read_first(args.file)
    show = {
        header.SHARD_MAGIC: _shard,
        header.TOKENIZER_MAGIC: _tokenizer,
        header.HELLASWAG_MAGIC: _hellaswag,
    }.get(header.magic_of(first) or 0)
    if show is None:
        raise header.wrong_kind(args.file, first, "a token shard, tokenizer file or HellaSwag file of llm.c")
    return show(args.file, args.document, args.documents)


def _shard(path: str, number: int | None, count: int | None) -> int:
    from sparkprep.llmc import peek, shard

    opened = shard.open_shard(path) if is_local(path) else shard.read_beginning(path, _READ_OF_REMOTE)
    tokens = opened.tokens
    is_part = len(tokens) < opened.header.tokens
    if number is not None:
        document = peek.document(tokens, number)
        if is_part and (document is None or document.end == len(tokens)):
            raise UserError(f"{path}: document {number} does not lie within {_part(path, len(tokens))}")
        if document is None:
            raise UserError(f"{path}: no document {number}; {_numbers(tokens)}")
        say(_border(document))
        for piece in peek.text(tokens[document.start : document.end]):
            say(piece, end="")
        say("")
        return 0
    say(f"{safe_text(path)}: token shard, version {opened.header.version}, {opened.header.tokens:,} tokens")
    statistics = peek.statistics(tokens)
    rows = [("read, and told of below", _part(path, len(tokens)))] if is_part else []
    rows += [("documents that begin here", f"{statistics.documents:,}")]
    if statistics.continued:
        rows.append(("tokens before the first", f"{statistics.continued:,}, of a document of the shard before"))
    if statistics.lengths is not None:
        lengths, goes_on = statistics.lengths, "" if is_part else " in the next shard"
        rows.append(
            (
                "tokens of a document",
                f"min {lengths.least:,} · median {lengths.median:,g} · mean {lengths.mean:,.1f} · "
                f"max {lengths.most:,} (without end-of-text; the last may go on{goes_on})",
            )
        )
    for title, value in rows:
        say(f"  {title:<28}{value}")
    if statistics.tokens:
        say("\nmost common tokens")
    for token, times in statistics.most_common(_SHOWN_TOKENS):
        say(f"  {token:>5}  {times / statistics.tokens:>7.2%}  {times:>12,}  {peek.word(token)}")
    shown = _SHOWN_COUNT if count is None else count
    for each in itertools.islice(peek.documents(tokens), shown):
        text, more = peek.beginning(tokens[each.start : each.end], SHOWN_CHARACTERS)
        say(f"\n{_border(each)}\n{text}{' …' if more else ''}")
    if statistics.unknown:
        position, token = peek.first_unknown(tokens) or (0, 0)
        say(
            f"\nFAILED: {statistics.unknown:,} tokens are none of GPT-2's 50,257, the first {token:,} at position "
            f"{position:,}; make the shard anew with GPT-2's tokenizer"
        )
        return Exit.CHECK_FAILED
    return Exit.DONE


def _tokenizer(path: str, number: int | None, count: int | None) -> int:
    from sparkprep.llmc import peek, tokenizer_file

    file = tokenizer_file.read(path)
    if number is not None:
        raise UserError(f"{path}: a tokenizer file has no documents; leave out --document {number}")
    say(
        f"{safe_text(path)}: tokenizer file, version {file.version}, {len(file.tokens):,} tokens, "
        f"end-of-text is {file.end_of_text:,}"
    )
    for token, content in enumerate(file.tokens[: _SHOWN_TOKENS if count is None else count]):
        say(f"  {token:>5}  {peek.token_text(content)}")
    return 0


def _hellaswag(path: str, number: int | None, count: int | None) -> int:
    from sparkprep.llmc import hellaswag

    header = hellaswag.read_header(path)
    if number is not None:
        example = next(itertools.islice(hellaswag.read(path), number, None), None)
        if example is None:
            raise UserError(f"{path}: no example {number}; it has 0 to {header.examples - 1}")
        _example(example)
        return 0
    longest = max((example.longest_row for example in hellaswag.read(path)), default=0)
    say(
        f"{safe_text(path)}: HellaSwag file, version {header.version}, {header.examples:,} examples, the longest of "
        f"{header.longest_bytes:,} bytes; longest context and ending {longest:,} tokens"
    )
    for example in itertools.islice(hellaswag.read(path), _SHOWN_COUNT if count is None else count):
        say("")
        _example(example)
    return 0


def _example(example: Example) -> None:
    from sparkprep.llmc import peek

    lengths = ", ".join(str(len(ending)) for ending in example.endings)
    say(f"--- example {example.index} · context of {len(example.context)} tokens, endings of {lengths}")
    say("".join(peek.text(example.context)))
    for choice, ending in enumerate(example.endings):
        say(f"  {'*' if choice == example.label else ' '} {choice} {''.join(peek.text(ending))}")


def _border(document: Document) -> str:
    return f"--- {document.name} · {document.end - document.start:,} tokens from position {document.start:,}"


def _part(path: str, tokens: int) -> str:
    """Say what of a shard on S3 was read, and how all of it is looked at."""
    return f"its first {tokens:,} tokens; `{shlex.join(['aws', 's3', 'cp', path, '.'])}` brings all of it here"


def _numbers(tokens: Tokens) -> str:
    """Which documents there are, for a message."""
    from sparkprep.llmc import peek

    statistics = peek.statistics(tokens)
    continued = "document 0 (continued)" if statistics.continued else ""
    begun = f"documents 1 to {statistics.documents:,}" if statistics.documents else ""
    return f"the shard has {' and '.join(part for part in (continued, begun) if part) or 'none at all'}"
