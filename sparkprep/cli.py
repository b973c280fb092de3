"""The `sparkprep` command: one verb for each job. A verb's module is imported when it is asked for."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from sparkprep import __version__
from sparkprep.commands import installing
from sparkprep.console import guarded
from sparkprep.errors import UserError
from sparkprep.parser import Parser


@dataclass(frozen=True)
class Verb:
    """A word behind `sparkprep`. module: has add_arguments(parser) and run(args)."""

    name: str
    module: str
    about: str


VERBS = (
    Verb("extract", "sparkprep.extract.cli", "turn crawl archives into documents"),
    Verb("filter", "sparkprep.filter.cli", "keep the documents that the published rules of curation let through"),
    Verb("dedup", "sparkprep.dedup.cli", "remove near-duplicate documents"),
    Verb("decontaminate", "sparkprep.decontaminate.cli", "remove documents that hold questions of evaluation sets"),
    Verb("index", "sparkprep.dedup.crawls.cli", "the crawls in an index that dedup has made: listed, or taken out"),
    Verb("grade", "sparkprep.grade.cli", "precision and recall of a result against a truth"),
    Verb("explain", "sparkprep.explain_cli", "why a document was removed, or kept, or a page gave none"),
    Verb("browse", "sparkprep.dedup.audit.browse_cli", "look through what was removed, in a browser"),
    Verb("tokenize", "sparkprep.tokens.tokenize_cli", "turn documents into GPT-2 tokens, and these into shards"),
    Verb("shards", "sparkprep.tokens.shards_cli", "turn token rows into llm.c's shards, or check them"),
    Verb("estimate", "sparkprep.estimate.cli", "what a run will take, from a sample of its documents: before you pay"),
    Verb("emr", "sparkprep.emr.cli", "the jobs on a cluster of EMR: planned, launched, watched, ended"),
    Verb("convert", "sparkprep.llmc.convert_cli", "the tokenizer, HellaSwag and tiny_shakespeare as files for llm.c"),
    Verb("clean", "sparkprep.io.clean_cli", "remove what killed runs left, on a disk or on S3"),
    Verb("peek", "sparkprep.llmc.peek_cli", "what is in a token shard, a tokenizer file or a HellaSwag file"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb and return its exit code (`console.Exit`)."""
    words = list(sys.argv[1:] if argv is None else argv)
    logging.getLogger().addFilter(_is_not_of_py4j)
    logging.getLogger("py4j").setLevel(logging.CRITICAL)  # what it logs, it raises too
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of caches that it cannot write, and goes on
    return guarded(
        lambda: _run(words),
        debug="--debug" in words,
        explain=_of_spark,
    )


def _run(words: Sequence[str]) -> int:
    try:
        args = parse(words)
        return int(args.run(args))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == __package__:
            raise
        raise UserError(f"{error.name} is not installed for this Python ({sys.executable}); {installing()}") from error


def _asked(words: Sequence[str]) -> Verb | None:
    name = next((word for word in words if not word.startswith("-")), None)
    return next((verb for verb in VERBS if verb.name == name), None)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of a verb, its function `run` and the words behind it among them. Raises UserError."""
    asked = _asked(words)
    parser = Parser(prog="sparkprep", description="From a web crawl to the token shards of a GPT-2, on Spark.")
    parser.add_argument("--version", action="version", version=f"sparkprep {__version__}")
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        subparser = subparsers.add_parser(verb.name, help=verb.about, description=verb.about)
        if verb is asked:
            module = import_module(verb.module)
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    args = parser.parse_args(words)
    args.words = words[words.index(args.verb) + 1 :]  # for the submit line that a size prints
    return args


def _of_spark(error: Exception) -> str | None:
    """Say what to tell of an exception that Spark raised, or the connection to its JVM, which ends with the JVM."""
    of_spark = type(error).__module__.split(".")[0] in ("pyspark", "py4j")
    if not of_spark and not (isinstance(error, ConnectionError) and "pyspark" in sys.modules):
        return None
    from sparkprep.spark.failures import cause_of_failure

    return f"Spark failed: {cause_of_failure(error)}"


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    """Py4J logs Ctrl-C, and a connection that broke, with a traceback to the root logger, and raises it too."""
    return os.path.basename(os.path.dirname(record.pathname)) != "py4j"


if __name__ == "__main__":
    sys.exit(main())
