"""Which files of JSON Lines hold documents at all: the others are refused, or set aside where they tell of the data.

A file of which no line is sound, or none has the text column, is another thing than one with a few bad lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sparkprep.documents.jsonl.survey import SplitSurvey
from sparkprep.errors import UserError
from sparkprep.io.formats import CODECS
from sparkprep.io.left_out import WITHOUT_ROWS, LeftOut
from sparkprep.io.listing import DataFile
from sparkprep.io.recognise import (
    CODEC_NAMES,
    HEAD_BYTES,
    INDENTED_JSON,
    JSON_ARRAY,
    JSON_LINES,
    MAGIC_BYTES,
    binary_kind,
    holds_documents,
    read_head,
    what_is,
)


@dataclass
class _Found:
    """What the splits of one file hold together.

    why: what is wrong with its first bad line. begins_badly: whether that is its very first one.
    """

    documents: int = 0
    bad: int = 0
    columns: dict[str, None] = field(default_factory=dict)
    """their names, in the order of their first appearance"""
    why: str = ""
    begins_badly: bool = False


def set_aside(
    surveys: Sequence[SplitSurvey], files: Sequence[DataFile], text_column: str
) -> tuple[list[SplitSurvey], list[LeftOut]]:
    """Return the surveys of the files that count, and the files that do not.

    These have no line that is not blank, or none of their lines has the text column. Raises UserError, naming the file,
    what it is and how to convert it, for one of which no line is sound, if it is not a JSON text beside the data
    (indented, or an array) without documents in it; for one that begins as no text does, as an archive that holds lines
    uncompressed; and for one without the text column that the user named.
    """
    found = _by_file(surveys)
    has_text = any(text_column in each.columns for each in found.values())
    left_out = []
    for file in files:
        each = found[file.path]
        if each.documents and each.begins_badly:
            _refuse_binary(file)
        if each.documents:
            without = has_text and text_column not in each.columns
        else:
            without = each.bad > 0
            if without and not (has_text and not file.named and _is_sidecar(file, text_column)):
                raise UserError(f"{file.path}: no line of {each.bad:,} is a document; {_advice(file, each)}")
        if without and file.named:
            raise UserError(
                f"{file.path}: no line has a column '{text_column}'; columns there are: "
                f"{', '.join(list(each.columns)[:50])}; leave the file out, or give it such a column"
            )
        if not each.documents and not each.bad:
            left_out.append(LeftOut(file.path, WITHOUT_ROWS))
        if without:
            left_out.append(LeftOut(file.path, f"of JSON without a column '{text_column}' in any line"))
    paths = {each.path for each in left_out}
    return [survey for survey in surveys if survey.split.path not in paths], left_out


def _by_file(surveys: Iterable[SplitSurvey]) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    for survey in surveys:
        each = found.setdefault(survey.split.path, _Found())
        each.documents += survey.documents
        each.bad += survey.bad
        each.columns.update(dict.fromkeys(survey.kind.fields))
        each.why = each.why or next((why for _, why in survey.first_bad), "")
        each.begins_badly |= survey.split.start == 0 and any(line == 0 for line, _ in survey.first_bad)
    return found


def _refuse_binary(file: DataFile) -> None:
    """Raise UserError where a file begins as no text does, whatever lines lie in it."""
    codec = CODECS.get(file.format)
    recognised = binary_kind(read_head(file.path, MAGIC_BYTES, codec))
    if recognised is not None:
        raise UserError(f"{file.path}: not JSON Lines; {recognised.told(file.path, codec)}")


def _is_sidecar(file: DataFile, text_column: str) -> bool:
    """Return whether a file without a sound line is one JSON text in which there are no documents."""
    head = read_head(file.path, HEAD_BYTES, CODECS.get(file.format))
    recognised = what_is(head)
    is_one_text = recognised is not None and recognised.kind in (JSON_ARRAY, INDENTED_JSON)
    return is_one_text and not holds_documents(head, len(head) < HEAD_BYTES, text_column)


def _advice(file: DataFile, found: _Found) -> str:
    """Return what a file without a sound line is, as far as its first bytes tell it, and the way out."""
    codec = CODECS.get(file.format)
    recognised = what_is(read_head(file.path, HEAD_BYTES, codec))
    if recognised is None or recognised.kind == JSON_LINES:
        return f"the first: {found.why}; mend the file or leave it out"
    if codec and recognised.kind in CODEC_NAMES.values():
        return f"it is packed twice, {recognised.kind} within {CODEC_NAMES[codec]}: unpack it once"
    return recognised.told(file.path, codec)
