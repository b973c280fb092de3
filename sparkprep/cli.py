"""The `sparkprep` command: one verb for each job."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from sparkprep import __version__
from sparkprep.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; 0, 1 where a check failed, 2 for a user's mistake, 3 where Spark failed, 130 when interrupted."""
    from sparkprep.dedup import cli as dedup
    from sparkprep.grade import cli as grade
    from sparkprep.llmc import convert_cli as convert
    from sparkprep.llmc import peek_cli as peek
    from sparkprep.tokens import shards_cli as shards
    from sparkprep.tokens import tokenize_cli as tokenize

    parser = argparse.ArgumentParser(
        prog="sparkprep", description="Near-duplicate removal and token shards on Spark.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"sparkprep {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module, about in (
        ("dedup", dedup, "remove near-duplicate documents"),
        ("grade", grade, "precision and recall of a result against a truth"),
        ("tokenize", tokenize, "turn documents into GPT-2 tokens, and these into shards"),
        ("shards", shards, "turn token rows into llm.c's shards, or check them"),
        ("convert", convert, "the tokenizer, HellaSwag and tiny_shakespeare as files for llm.c"),
        ("peek", peek, "what is in a token shard, a tokenizer file or a HellaSwag file"),
    ):
        verb = verbs.add_parser(name, help=about, description=about, allow_abbrev=False)
        module.add_arguments(verb)
        verb.set_defaults(run=module.run)
    argv = sys.argv[1:] if argv is None else argv
    args = parser.parse_args(_joined(argv))
    args.words = list(argv[1:])  # as they were given, for the submit line that a size prints
    return guarded(args.run, args)


def _joined(argv: Sequence[str]) -> list[str]:
    """`--keep -score` as `--keep=-score`: argparse would take a value that begins with '-' for a flag."""
    words: list[str] = []
    for word in argv:
        if words and words[-1] == "--keep" and word.startswith("-") and not word.startswith("--"):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def guarded(work: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a verb; an error becomes one line on the terminal, with its traceback under --debug."""
    logging.getLogger().addFilter(_is_no_interrupt)
    logging.getLogger("py4j").setLevel(logging.CRITICAL)  # what it logs, it raises too
    try:
        return work(args)
    except UserError as error:
        if getattr(args, "debug", False):
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was put in place", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if getattr(args, "debug", False) or not _is_of_spark(error):
            raise
        print(f"error: Spark failed: {_first_line(error)}; --debug shows all of it", file=sys.stderr)
        return 3


def _is_of_spark(error: Exception) -> bool:
    """Whether Spark raised it, or the connection to its JVM, which ends with the JVM."""
    return type(error).__module__.split(".")[0] in ("pyspark", "py4j") or isinstance(error, ConnectionError)


def _first_line(error: Exception) -> str:
    """What an error of Spark's says, without the name of the call that met it and the stack below."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("An error occurred while calling")] or [type(error).__name__]
    return told[0].removeprefix(": ")[:400]


def _is_no_interrupt(record: logging.LogRecord) -> bool:
    """Py4J logs Ctrl-C with a traceback before it hands it on."""
    return not record.getMessage().startswith("KeyboardInterrupt while sending command")


if __name__ == "__main__":
    sys.exit(main())
