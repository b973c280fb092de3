"""What is known of the shards in a folder: manifest.json, the notes of an unfinished run; checking against them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from typing import Any, get_type_hints

import numpy as np

from sparkprep import __version__
from sparkprep.errors import UserError
from sparkprep.io.files import exists, file_names, sha256_of, write_text
from sparkprep.io.json_files import checked_object, read_json
from sparkprep.io.left_out import LeftOut, name_left_out
from sparkprep.io.paths import join_path, normalise
from sparkprep.llmc import shard as shard_format
from sparkprep.llmc.header import HEADER_BYTES
from sparkprep.tokenizer.vocabulary import END_OF_TEXT, SHA256
from sparkprep.tokens.plan import ShardPlan
from sparkprep.tokens.settings import ShardSettings

MANIFEST = "manifest.json"
NOTES = "_progress"
"""The folder with a note of each finished shard, until the manifest tells of all."""

_SHARD = re.compile(r"(.+)_(?:val|train)_\d{6}\.bin")
_HASHERS = 4
_MEND = "delete it, or choose another folder"
_AGAIN = "delete {} and give the command that made the shards again, which makes what is missing"
_OF_SHARDS = "name a folder that `shards` or `tokenize --shards` has made"
_MOST_NAMED = 10


@dataclass(frozen=True)
class Entry:
    """A finished shard. documents: how many begin in it."""

    index: int
    file: str
    tokens: int
    documents: int
    sha256: str


_ENTRY_KEYS: dict[str, type] = get_type_hints(Entry)
_NOTE_KEYS = {"plan": str, **_ENTRY_KEYS}
_MANIFEST_SHARD_KEYS = {"split": str, **_ENTRY_KEYS}
_MANIFEST_KEYS = {"plan": str, "tokens": int, "documents": int, "shards": list}


@dataclass(frozen=True)
class Note:
    """A finished shard, and the fingerprint of the plan it was made by."""

    plan: str
    entry: Entry


def write_note(folder: str, plan: ShardPlan, entry: Entry) -> None:
    """Note that a shard is finished."""
    write_text(note_path(folder, entry.file), json.dumps({"plan": plan.fingerprint, **asdict(entry)}))


def write_notes(folder: str, plan: ShardPlan, entries: Sequence[Entry]) -> None:
    """Note of each of these shards that it is finished."""
    with ThreadPoolExecutor(_HASHERS) as pool:  # on S3 each note is a request
        list(pool.map(lambda entry: write_note(folder, plan, entry), entries))


def note_path(folder: str, file: str) -> str:
    """Return where the note of a shard lies."""
    return join_path(folder, NOTES, f"{file}.json")


def read_notes(folder: str) -> dict[str, Note]:
    """Return what manifest and notes tell of the shards in a folder, by file name."""
    notes: dict[str, Note] = {}
    path = join_path(folder, MANIFEST)
    if exists(path):
        manifest = _read_manifest(path)
        notes = {shard["file"]: Note(manifest["plan"], _entry(path, shard)) for shard in manifest["shards"]}
    for name in file_names(join_path(folder, NOTES)):
        if name.endswith(".json"):
            path = join_path(folder, NOTES, name)
            content = read_json(path, _MEND, _NOTE_KEYS)
            notes[content["file"]] = Note(content["plan"], _entry(path, content))
    return notes


def _read_manifest(path: str, advice: str = _MEND) -> dict[str, Any]:
    """Return a manifest, which names one shard at least. Raises UserError where the file is no manifest of ours."""
    manifest = read_json(path, advice, _MANIFEST_KEYS)
    if not manifest["shards"]:
        raise UserError(f"{path}: a manifest without any shard; {advice}")
    for shard in manifest["shards"]:
        _entry(path, checked_object(shard, path, advice, _MANIFEST_SHARD_KEYS))
    return manifest


def _entry(path: str, content: dict[str, Any]) -> Entry:
    """Return the shard that a file tells of. Raises UserError where that is no file in the folder: we would delete it.

    path: of the manifest or note. content: has the keys of an entry.
    """
    if "/" in content["file"] or "\\" in content["file"]:
        raise UserError(f"{path}: names {content['file']!r}, which is no file in its folder; {_MEND}")
    return Entry(**{field.name: content[field.name] for field in fields(Entry)})


def sound_entries(folder: str, notes: dict[str, Note]) -> list[Entry]:
    """Return the noted shards that lie in the folder whole: their SHA-256 is what was noted when they were written."""

    def is_sound(entry: Entry) -> bool:
        path = join_path(folder, entry.file)
        return exists(path) and sha256_of(path)[1] == entry.sha256

    entries = [note.entry for note in notes.values()]
    with ThreadPoolExecutor(_HASHERS) as pool:
        return [entry for entry, sound in zip(entries, pool.map(is_sound, entries), strict=True) if sound]


def build(
    source: list[str],
    settings: ShardSettings,
    plan: ShardPlan,
    entries: list[Entry],
    warnings: Sequence[str],
    left_out: Sequence[LeftOut],
) -> dict[str, Any]:
    """Return the manifest of a finished folder. source: the files of the token rows; left_out: what lies among them."""
    first = {shard.index: shard for shard in plan.shards}
    return {
        "format": "llm.c token shards, uint16, GPT-2",
        "tokens": plan.tokens,
        "documents": plan.documents,
        "shards": [{"split": first[e.index].split, "first_token": first[e.index].first, **asdict(e)} for e in entries],
        "settings": asdict(settings),
        "source": source,
        "warnings": list(warnings),
        "left_out": name_left_out(left_out),
        "order": "xxhash64(seed, id), as signed 64-bit numbers; ties by id, then by tokens",
        "vocabulary_sha256": SHA256,
        "sparkprep": __version__,
        "plan": plan.fingerprint,
    }


def verify(folder: str) -> dict[str, Any]:
    """Check every shard of a folder against its manifest (header, size, SHA-256, tokens, documents); return that.

    Raises UserError that names the files that are wrong, up to ten of them.
    """
    path = join_path(normalise(folder), MANIFEST)
    if not exists(path):
        raise UserError(f"{folder}: {_why_none(normalise(folder))}")
    manifest = _read_manifest(path, _OF_SHARDS)
    with ThreadPoolExecutor(_HASHERS) as pool:
        found = pool.map(lambda shard: _fault(join_path(folder, shard["file"]), shard), manifest["shards"])
        faults = [fault for fault in found if fault]
    if faults:
        more = f"; and {len(faults) - _MOST_NAMED:,} more" if len(faults) > _MOST_NAMED else ""
        way_out = _AGAIN.format("it" if len(faults) == 1 else "them")
        raise UserError(f"{'; '.join(faults[:_MOST_NAMED])}{more}; {way_out}")
    _refuse_others(folder, manifest)
    total = sum(shard["tokens"] for shard in manifest["shards"])
    begun = sum(shard["documents"] for shard in manifest["shards"])
    if (total, begun) != (manifest["tokens"], manifest["documents"]):
        raise UserError(f"{path}: its shards hold {total:,} tokens of {begun:,} documents, which is not what it says")
    return manifest


def _why_none(folder: str) -> str:
    """Return why a folder has no manifest, and the way out."""
    names = list(file_names(folder))
    if any(file_names(join_path(folder, NOTES))) or any(_SHARD.fullmatch(name) for name in names):
        return f"no {MANIFEST}: the shards are not finished; give the command that makes them again"
    what = f"holds no shards of ours, as there is no {MANIFEST}" if names or exists(folder) else "no such folder"
    return f"{what}; {_OF_SHARDS}"


def _refuse_others(folder: str, manifest: dict[str, Any]) -> None:
    """Refuse shards of the manifest's name that it does not tell of: a trainer's glob would take them for its own."""
    listed = {shard["file"] for shard in manifest["shards"]}
    names = {re.escape(match[1]) for file in listed if (match := _SHARD.fullmatch(file))}
    for file in file_names(normalise(folder)):
        if file not in listed and any(re.fullmatch(rf"{name}_(val|train)_\d{{6}}\.bin", file) for name in names):
            raise UserError(f"{join_path(folder, file)}: a shard that the manifest does not tell of; move it away")


def _fault(path: str, shard: dict[str, Any]) -> str | None:
    """Return what is wrong with a shard, beginning with its path; None where it is what the manifest tells."""
    try:
        if not exists(path):
            return f"{path}: missing"
        header = shard_format.read_header(path)
        counts = _Counts()
        digest = sha256_of(path, counts.look)[1]
    except UserError as error:
        return str(error)
    if header.tokens != shard["tokens"] or digest != shard["sha256"]:
        return f"{path}: not the file that the manifest tells of (other tokens or SHA-256)"
    if counts.greatest > END_OF_TEXT or counts.documents != shard["documents"]:
        return f"{path}: holds {counts.documents:,} documents and token {counts.greatest}, not what the manifest tells"
    return None


@dataclass
class _Counts:
    """What the blocks of a shard hold: documents that begin there, the greatest token."""

    documents: int = 0
    greatest: int = 0
    _position: int = 0

    def look(self, block: bytes) -> None:
        """Take in the next block, an even number of bytes; the first begins with the header."""
        tokens = np.frombuffer(block, "<u2")[max(0, HEADER_BYTES - self._position) // 2 :]
        self._position += len(block)
        self.documents += int((tokens == END_OF_TEXT).sum())
        self.greatest = max(self.greatest, int(tokens.max(initial=0)))
