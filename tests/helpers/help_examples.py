"""The examples that each --help ends with."""

import re

from checkout import ROOT


def faces() -> list[str]:
    """The modules that end their --help with examples."""
    sources = {ROOT: "sparkprep", ROOT / "train": "trainer"}
    files = [(root, path) for root, package in sources.items() for path in sorted((root / package).rglob("*.py"))]
    return [
        ".".join(path.relative_to(root).with_suffix("").parts)
        for root, path in files
        if re.search(r"^EPILOG = ", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def examples(epilog: str) -> list[str]:
    """The commands in the help's list of examples, without what is said of each."""
    listed = epilog.split("examples:\n", 1)[1].split("\n\n", 1)[0]
    return [re.split(r"\s{2,}", line.strip())[0] for line in listed.splitlines()]


def verb_of(job: str) -> str:
    """The verb of `sparkprep` that a file of jobs/ runs."""
    found = re.search(r"main\(\[\"(\w+)\"", (ROOT / job).read_text(encoding="utf-8"))
    assert found is not None, job
    return found[1]
