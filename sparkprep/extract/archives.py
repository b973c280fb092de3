"""Which archives an input is: files, folders, patterns and lists of paths, each archive once."""

from __future__ import annotations

import gzip
import posixpath
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import translate

import pyarrow as pa

from sparkprep.errors import UserError, argument
from sparkprep.extract.records import NO_RECORD
from sparkprep.io.files import cause, open_input
from sparkprep.io.left_out import LeftOut
from sparkprep.io.listing import DataFile, check_unchanged
from sparkprep.io.paths import is_local, normalise, scheme_of
from sparkprep.io.walking import Entry, entry_of, walk

_ARCHIVE = re.compile(r".+\.(?:warc|wet|arc)(?:\.gz|\.zst)?", re.IGNORECASE)
_OLD = re.compile(r".+\.arc(?:\.gz|\.zst)?", re.IGNORECASE)
_METADATA = re.compile(r".+\.wat(?:\.gz|\.zst)?", re.IGNORECASE)
_LIST = re.compile(r".+\.(?:paths|list|txt)(?:\.gz)?", re.IGNORECASE)
_COMMON_CRAWL = "crawl-data/"
_LISTS = (".paths", ".list", ".txt")
_KNOWN = f".warc, .wet (also with .gz or .zst), and lists of them: {', '.join(_LISTS)} (also with .gz)"
_TWICE = "given twice"
_EMPTY = "of 0 bytes"
_AGAIN = "fetch it again, or take it out of the input"
LIST_PREFIX = "s3://commoncrawl/"
"""What stands before the paths of Common Crawl's lists, where nothing else is named."""
_SHOWN = 5
_ASKED_AT_ONCE = 16
_LARGEST_LIST = 1 << 28


@dataclass(frozen=True)
class Archives:
    """The archives of an input, sorted by path, and what in it is not read."""

    files: list[DataFile]
    left_out: tuple[LeftOut, ...]
    given: tuple[str, ...] = ()
    """the paths that were listed"""

    @property
    def places(self) -> list[str]:
        """What must not be written into: the archives, and the folders that were searched for them."""
        return [*(path for path in self.given if not _is_pattern(path)), *(file.path for file in self.files)]

    @property
    def bytes(self) -> int:
        """The size of all of them, as they lie."""
        return sum(file.size for file in self.files)

    def check_unchanged(self) -> None:
        """Raise UserError (InputChanged) naming the first archive that is not what it was when it was listed."""
        check_unchanged(self.files)


def list_archives(paths: Sequence[str], list_prefix: str) -> Archives:
    """Return the archives at `paths`: files, folders searched to the bottom, patterns (`*`, `?`, `[a-z]`) in a file's
    or folder's name, also on S3, and lists of paths, one a line.

    A path in a list that begins with `crawl-data/` is taken behind `list_prefix`, another that is not absolute from the
    list's folder. An archive that is reached twice is read once, and told of, as is one without a byte. Raises
    UserError for a path without an archive, a list that names one that is not there, a file that is none, a prefix that
    no list is there for, and where all archives are empty.
    """
    if not paths:
        raise UserError(f"no input was given; name archives as {argument('input')}")
    if list_prefix != LIST_PREFIX and not any(_is_list(path) for path in paths):
        raise UserError(
            f"{argument('list_prefix', list_prefix)} says nothing without a list of archives ({', '.join(_LISTS)}) as "
            f"{argument('input')}"
        )
    files: dict[str, DataFile] = {}
    left_out: list[LeftOut] = []
    for path in paths:
        entries, others = _at(normalise(path), list_prefix)
        left_out += others
        for entry in sorted(entries, key=lambda each: each.path):
            if not entry.size:
                left_out.append(LeftOut(entry.path, _EMPTY))
            elif entry.real in files:
                left_out.append(LeftOut(entry.path, _TWICE))
            else:
                files[entry.real] = DataFile(entry.path, entry.size, "warc", mtime_ns=entry.mtime_ns)
    if not files:
        empty = [each.path for each in left_out if each.reason == _EMPTY]
        rest = f", as are the other {len(empty) - 1:,} archives of the input" if len(empty) > 1 else ""
        raise UserError(f"{empty[0]}: is empty (0 bytes){rest}: {_AGAIN}")
    return Archives(sorted(files.values(), key=lambda file: file.path), tuple(left_out), tuple(paths))


def _at(path: str, list_prefix: str) -> tuple[list[Entry], list[LeftOut]]:
    """Return the archives at one path, and what is left out there."""
    try:
        if _is_pattern(path):
            return _in_folder(*_split_pattern(path))
        entry = entry_of(path)
        if entry is None:
            return _in_folder(path, None)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be listed: {cause(error)}") from error
    name = posixpath.basename(path)
    if _LIST.fullmatch(name):
        return _listed(path, list_prefix), []
    if not _ARCHIVE.fullmatch(name) or _OLD.fullmatch(name):
        raise UserError(f"{path}: no archive by its name{_why_none(name)}; known are {_KNOWN}")
    return [entry], []


def _is_list(path: str) -> bool:
    return bool(_LIST.fullmatch(posixpath.basename(path)))


def _why_none(name: str) -> str:
    """Return what is to be said of a file that looks like an archive and is not read, and what to do."""
    if _OLD.fullmatch(name):
        return " (ARC, the format before WARC: `warcio recompress` makes a WARC of it)"
    if _METADATA.fullmatch(name):
        return " (WAT, which holds no text of the pages: name the WARC or WET of the same name)"
    return ""


def _is_pattern(path: str) -> bool:
    """Return whether a path is meant as a pattern: a file of that very name wins."""
    if not set(path) & set("*?["):
        return False
    try:
        entry_of(path)
    except UserError:
        return True
    return False


def _split_pattern(path: str) -> tuple[str, re.Pattern[str]]:
    """Return the folder above the first name with a pattern, and what paths below it match."""
    head, separator, rest = path.partition("://") if not is_local(path) else ("", "", path)
    parts = rest.split("/")
    first = next(number for number, part in enumerate(parts) if set(part) & set("*?["))
    folder = head + separator + ("/".join(parts[:first]) or "/")
    names = [translate(part).removesuffix(r"\Z").removesuffix(r"\z") for part in parts[first:]]
    return folder, re.compile("/".join(name.replace(".*", "[^/]*") for name in names) + "(?:/.*)?")


def _in_folder(folder: str, pattern: re.Pattern[str] | None) -> tuple[list[Entry], list[LeftOut]]:
    tree = walk(folder)
    matching = [each for each in tree.files if pattern is None or pattern.fullmatch(each.relative)]
    archives = [each for each in matching if _ARCHIVE.fullmatch(each.relative) and not _OLD.fullmatch(each.relative)]
    if not archives:
        if pattern is not None and not matching:
            raise UserError(f"{folder}: no file matches; known are {_KNOWN}")
        names = sorted(each.relative for each in matching)
        held = f" among its {len(names):,} files, such as {names[0]}{_why_none(names[0])}" if names else ": it is empty"
        raise UserError(f"{folder}: no archive{held}; name the folder that has them; known are {_KNOWN}")
    chosen = {each.path for each in archives}
    others = [LeftOut(each.path, "that are no archives", is_data=False) for each in matching if each.path not in chosen]
    return archives, others


def _listed(path: str, prefix: str) -> list[Entry]:
    """Return the archives that a list names. Raises UserError naming list and line."""
    lines = list(_lines(path))
    if not lines:
        raise UserError(f"{path}: names no archive")

    def look(line: tuple[int, str]) -> Entry:
        number, name = line
        place = name
        try:
            place = _place(name, path, prefix)
            entry = entry_of(place)
        except (UserError, OSError, pa.ArrowException) as error:
            why = str(error) if isinstance(error, UserError) else f"{place}: {cause(error)}"
            raise UserError(f"{path}, line {number}: {why}") from error
        if entry is None:
            raise UserError(f"{path}, line {number}: {place} is a folder; a list names archives")
        return entry

    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        return list(pool.map(look, lines))


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """Yield (number, path) of the lines that name one; those that are empty or begin with # do not."""
    with open_input(path) as stream:
        data = stream.read(_LARGEST_LIST)
    try:
        text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no list of archives: it is no text (in UTF-8), as a list of paths is") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: no list of archives: it cannot be unpacked: {error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()


def _place(name: str, path: str, prefix: str) -> str:
    if name.startswith(_COMMON_CRAWL):
        return normalise(prefix.rstrip("/") + "/" + name)
    if scheme_of(name) or name.startswith("/"):
        return normalise(name)
    return normalise(path.rpartition("/")[0] + "/" + name)


def distinct_names(files: Sequence[DataFile]) -> list[str]:
    """Return a name for each archive: of its path as much of the end as no other archive has.

    >>> distinct_names([DataFile(path, 0, "warc") for path in ("/a/x.warc", "/b/x.warc", "/b/y.warc")])
    ['a/x.warc', 'b/x.warc', 'y.warc']
    """
    parts = [file.path.split("/") for file in files]
    names = [path[-1] for path in parts]
    length = 1
    while repeated := {name for name, count in Counter(names).items() if count > 1}:
        length += 1
        names = [
            "/".join(path[-length:]) if name in repeated else name for name, path in zip(names, parts, strict=True)
        ]
        if all(length >= len(path) for path in parts):
            break
    return names


def names_repeated(files: Iterable[DataFile]) -> list[str]:
    """Return the names that several archives in different folders bear, sorted."""
    counts = Counter(file.path.rpartition("/")[2] for file in files)
    return sorted(name for name, count in counts.items() if count > 1)


def tell_unread(faults: Mapping[str, str], archives: int) -> str:
    """Return what is to be told of archives in which not one record could be read, and what to do.

    faults: what is wrong at the beginning of each of these, at least one, by their paths. archives: how many there are
    in all.
    """
    paths = [*faults]
    shown = ", ".join(paths[:_SHOWN]) + (f" and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else "")
    rest = "" if len(paths) < archives or archives == 1 else ", nor in any other archive of the input"
    if (fault := faults[paths[0]]) and fault != NO_RECORD:
        of_first = "" if len(paths) == 1 else f" of {paths[0]}"
        return f"{shown}: no record of WARC could be read there{rest} (the first bytes{of_first}: {fault}): {_AGAIN}"
    look = "(its first line, unpacked, is WARC/1.0 or WARC/1.1 if it is one)"
    return f"{shown}: no record of WARC could be read there{rest}: see whether this is an archive {look}, then {_AGAIN}"
