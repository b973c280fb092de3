"""The jobs of a run as steps of a cluster: one after the other, each reading what the one before wrote."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from sparkprep.dedup import cli as dedup_cli
from sparkprep.dedup.keep import named_columns
from sparkprep.dedup.thresholds import are_several, folder_of
from sparkprep.documents.parquet.footers import summarise
from sparkprep.emr.aws.model import EMR, Enumerated, check_request
from sparkprep.emr.places import Staged
from sparkprep.errors import UserError
from sparkprep.extract import cli as extract_cli
from sparkprep.filter import cli as filter_cli
from sparkprep.io.files import exists
from sparkprep.io.formats import PARQUET
from sparkprep.io.listing import list_files
from sparkprep.io.paths import join_path, lies_in, normalise
from sparkprep.kinds import Text
from sparkprep.options import Keywords, check_options, option
from sparkprep.parser import FLAGS, Parser
from sparkprep.tokens import shards_cli, tokenize_cli

RUNNER = "command-runner.jar"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

Json = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """A job of a run. reads: folders within the run's, the first of them that the run makes. writes: such a folder.

    may_begin: whether it reads the run's input where the run makes none of them; another then reads the first, which
    an earlier run has made. cli: the job's own face.
    """

    name: str
    file: str
    reads: tuple[str, ...]
    writes: str
    may_begin: bool
    cli: ModuleType


_DOCUMENTS = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst")
JOBS = (
    Job("extract", "extract.py", (), "pages", True, extract_cli),
    Job("filter", "filter.py", ("pages",), "good", True, filter_cli),
    Job("dedup", "dedup.py", ("good", "pages"), "clean", True, dedup_cli),
    Job("tokens", "tokens.py", ("clean",), "tokens", False, tokenize_cli),
    Job("shards", "shards.py", ("tokens",), "shards", False, shards_cli),
)
"""In the order in which they run."""
USUAL_JOBS = ("dedup", "tokens", "shards")
"""Those of a run that does not say which."""


@dataclass(frozen=True)
class RunSettings(Keywords):
    """What is run on a cluster. Raises UserError on a value that cannot be."""

    input: str | None = option(
        None, "documents: an s3:// prefix of Parquet or JSON Lines; for extract, archives or a list of them", Text(),
        "S3-URI",
    )  # fmt: skip
    output: str | None = option(
        None, "an s3:// prefix for pages/, good/, clean/, tokens/ and shards/", Text(), "S3-URI"
    )
    jobs: str = option(
        ",".join(USUAL_JOBS),
        f"which jobs, with commas: {','.join(job.name for job in JOBS)} or some of them",
        Text(),
        "A,B",
    )
    extract: str = option("", "further flags of the job extract, in quotation marks", Text(empty=True), FLAGS)
    filter: str = option("", "further flags of the job filter, in quotation marks", Text(empty=True), FLAGS)
    dedup: str = option("", "further flags of the job dedup, in quotation marks", Text(empty=True), FLAGS)
    tokens: str = option("", "further flags of the job tokens", Text(empty=True), FLAGS)
    shards: str = option("", "further flags of the job shards", Text(empty=True), FLAGS)
    on_failure: str = option(
        "CANCEL_AND_WAIT", "what becomes of the other steps where one fails", Enumerated("ActionOnFailure"), "WORD"
    )

    def __post_init__(self) -> None:
        check_options(self)

    def chosen(self) -> list[Job]:
        """Return the jobs, in their order. Raises UserError for a name that is none."""
        names = [each.strip() for each in self.jobs.split(",") if each.strip()]
        known = [job.name for job in JOBS]
        for name in names:
            if name not in known:
                raise UserError(f"--jobs: {name!r} is none of {', '.join(known)}")
        if not names:
            raise UserError(f"--jobs: names none; there are {', '.join(known)}")
        for name in known:
            if getattr(self, name) and name not in names:
                raise UserError(f"--{name} is of a job that --jobs {self.jobs} leaves out: name it there, or leave out")
        return [job for job in JOBS if job.name in names]


def names_of(run: RunSettings | None) -> list[str]:
    """Return the names of a run's jobs, in their order; of a cluster that waits for steps, the usual ones."""
    return list(USUAL_JOBS) if run is None else [job.name for job in run.chosen()]


def check_uri(uri: str, what: str) -> str:
    """Return an s3:// URI of a bucket and a key as one writes it. Raises UserError for what is none."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if "@" in bucket or ":" in bucket:  # an address with a key in it is not shown
        raise UserError(f"{what}: an s3:// URI holds no credentials and no port; write s3://BUCKET/PREFIX")
    if scheme not in ("s3", "s3a", "s3n") or not bucket:
        raise UserError(f"{what}: {uri!r} is no s3:// URI; write s3://BUCKET/PREFIX")
    if _BUCKET.fullmatch(bucket) is None:
        raise UserError(f"{what}: {uri}: {bucket!r} is no bucket: 3 to 63 small letters, digits, dots, hyphens")
    if not key.strip("/"):
        raise UserError(f"{what}: {uri} names a bucket alone; write s3://{bucket}/PREFIX")
    return normalise(uri)


def check_place(uri: str, what: str) -> str:
    """Return an s3:// URI of a folder that is written to or read from by many. Raises UserError for what is none."""
    place = check_uri(uri, what)
    _, _, key = uri.partition("://")[2].partition("/")
    if any(part in ("", ".", "..") for part in key.rstrip("/").split("/")):
        raise UserError(f"{what}: {uri}: a key with empty parts, '.' or '..' in it is no folder; mend it")
    if re.search(r"[\s*?\[\]{}#%]", key):
        raise UserError(f"{what}: {uri!r}: blanks and *?[]{{}}#% are none of a folder's here; name another")
    return place


def commands(settings: RunSettings, staged: Staged) -> dict[str, list[str]]:
    """Return the words of each job's spark-submit, by the job's name.

    The input may lie in what the first job reads of an earlier run's, as one of several thresholds' results does.
    Raises UserError for places that cannot be, an output that is the input or lies in it, and flags that a job does
    not take: it would refuse them only when the cluster is paid for.
    """
    if settings.input is None or settings.output is None:
        missing = "--input" if settings.input is None else "--output"
        raise UserError(f"{missing} is missing: name an s3:// prefix")
    source, target = check_uri(settings.input, "--input"), check_place(settings.output, "--output")
    chosen = settings.chosen()
    first = chosen[0]
    within = next((name for name in first.reads if lies_in(source, join_path(target, name))), None)
    _check_places(source, target, staged, within)
    if first.name == "extract" and source.endswith(_DOCUMENTS):
        raise UserError(
            f"--input {source}: holds documents, and extract reads archives or a list of them; leave extract out of "
            "--jobs"
        )
    made, written = {}, {job.writes for job in chosen}
    for job in chosen:
        there = [name for name in job.reads if name in written] or ([] if job.may_begin else list(job.reads))
        own = there and not (within is not None and job is first)
        read = join_path(target, there[0]) if own else source
        further = str(getattr(settings, job.name))
        words = ["--input", read, "--output", join_path(target, job.writes), *_split(job, further)]
        _check_flags(job, words, chosen)
        made[job.name] = words
    return made


def steps(settings: RunSettings, staged: Staged) -> list[Json]:
    """Return the steps of a run, as AddJobFlowSteps and RunJobFlow take them. Raises UserError as `commands`."""
    return [step(name, words, staged, settings.on_failure) for name, words in commands(settings, staged).items()]


def step(name: str, words: Sequence[str], staged: Staged, on_failure: str) -> Json:
    """Return one job as a step: EMR's command runner with a list of words, which no shell splits.

    Memory and executors are the cluster's own (`request.configurations`).
    """
    job = next(each for each in JOBS if each.name == name)
    submit = ["spark-submit", "--master", "yarn", "--deploy-mode", "client", staged.job(job.file), *words]
    made = {
        "Name": f"sparkprep {name}",
        "ActionOnFailure": on_failure,
        "HadoopJarStep": {"Jar": RUNNER, "Args": submit},
    }
    check_request(EMR, "AddJobFlowSteps", {"JobFlowId": "j-0", "Steps": [made]})
    return made


def output_of(args: Sequence[str]) -> str | None:
    """Return where a step of ours writes, by its words; None for a step of another kind."""
    return _last(args, "--output")


def input_of(args: Sequence[str]) -> str | None:
    """Return what a step of ours reads, by its words; None for a step of another kind."""
    return _last(args, "--input")


def inputs_of(steps: Sequence[Json]) -> dict[str, Sequence[str]]:
    """Return what steps read and none before them writes, and the words of the first that does.

    It must be there when they begin.
    """
    written: set[str] = set()
    needed: dict[str, Sequence[str]] = {}
    for args in (step["HadoopJarStep"]["Args"] for step in steps):
        read, writes = input_of(args), output_of(args)
        if read is not None and read not in written:
            needed.setdefault(read, args)
        written |= {writes} if writes is not None else set()
    return needed


def check_inputs(needed: Mapping[str, Sequence[str]], soon: Sequence[str] = ()) -> None:
    """Raise UserError for what is to be read and is not there: it would be found out on nodes that are billed.

    needed: as `inputs_of` has it. soon: places that steps still write.
    """
    for each, args in needed.items():
        if any(lies_in(each, place) for place in soon):
            continue
        if not exists(each):
            raise UserError(f"--input {each}: nothing lies there; name what is, or run the job that writes it first")
        _check_columns(each, args)


def _check_columns(place: str, args: Sequence[str]) -> None:
    """Raise UserError for a column that a step of dedup names and the first Parquet file of its input lacks."""
    job = next(each for each in JOBS if each.name == "dedup")
    at = next((at for at, word in enumerate(args) if word.endswith(f"/{job.file}")), None)
    if at is None:
        return
    settings = dedup_cli.settings_of(_parser(job).parse_args(args[at + 1 :]))
    first = next((file for file in list_files([place], settings.text_column) if file.format == PARQUET), None)
    if first is None:
        return
    columns = summarise([first], settings.text_column).schema.names
    try:
        named_columns(settings, columns)
    except UserError as error:
        raise UserError(f"--dedup: {first.path}: {error}") from error


def _last(args: Sequence[str], name: str) -> str | None:
    """Return what stands behind the last flag of the name in the words of a step of ours."""
    if name not in args[:-1] or "spark-submit" not in args[:1]:
        return None
    return args[len(args) - 1 - list(reversed(args)).index(name) + 1]


def _check_places(source: str, target: str, staged: Staged, read: str | None) -> None:
    """Raise UserError where what is written would lie in the input, in what is staged, or have one of these in it.

    read: a folder of the run's that holds the input, and is not written.
    """
    written = [join_path(target, job.writes) for job in JOBS if job.writes != read]
    if lies_in(target, source) or any(lies_in(source, folder) for folder in written):
        raise UserError(f"--output {target} and --input {source} lie in one another; name a prefix of its own")
    if staged.has(target) or any(lies_in(staged.prefix, folder) for folder in written):
        raise UserError(f"--output {target} and what is staged in {staged.prefix} lie in one another; name another")


def _split(job: Job, flags: str) -> list[str]:
    try:
        words = shlex.split(flags)
    except ValueError as error:
        raise UserError(f"--{job.name} {flags!r}: {error}") from None
    for word in words:
        if word.partition("=")[0] in ("--input", "--output"):
            raise UserError(f"--{job.name}: {word} is the run's own: give --input and --output to `submit`")
    return words


def _check_flags(job: Job, words: Sequence[str], chosen: Sequence[Job]) -> None:
    """Have the job itself read its words, as it will on the cluster. Raises UserError with what it says to them."""
    try:
        args = _parser(job).parse_args(words)
        args.words = words
        job.cli.settings_of(args)
    except UserError as error:
        raise UserError(f"--{job.name}: {error}") from None
    rest = ",".join(each.name for each in chosen[chosen.index(job) + 1 :])
    if job.name == "dedup" and rest and are_several(args.threshold):
        one = join_path(args.output, folder_of(args.threshold[0]))
        raise UserError(
            f"--dedup: several thresholds make a result for each, and {rest} would not know which to read: take --jobs "
            f"dedup, and when its results are looked at, --jobs {rest} --input {one}"
        )


@cache
def _parser(job: Job) -> Parser:
    parser = Parser(prog=f"jobs/{job.file}", add_help=False)
    job.cli.add_arguments(parser)
    return parser
