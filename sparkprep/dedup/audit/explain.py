"""Why a document was removed, or kept: told for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sparkprep.console import safe_text
from sparkprep.dedup.audit import excerpt
from sparkprep.dedup.audit.finished import Document, FinishedRun, Link
from sparkprep.dedup.columns import MISS
from sparkprep.errors import UserError
from sparkprep.pages.environment import jaccard as shown_jaccard
from sparkprep.summary import document_line

MOST_SHOWN = 5
"""Documents of one name that are explained, and others of a cluster that are named."""
_PLAIN = {"delete": ("[-", "-]"), "insert": ("{+", "+}"), "skip": ("", ""), "equal": ("", "")}
_RESET, _RED, _GREEN, _FAINT = "\x1b[0m", "\x1b[31;9m", "\x1b[32;4m", "\x1b[2m"
_COLOURED = {
    "delete": (_RED, _RESET),
    "insert": (_GREEN, _RESET),
    "skip": (_FAINT, _RESET),
    "equal": ("", ""),
}


def explain(run: FinishedRun, name: str, colour: bool = False, whole: bool = False, column: str | None = None) -> str:
    """Return why the documents of a name were removed or kept, with the words in which they and their twins differ.

    colour: mark the words by a terminal's colours. whole: give the whole texts too. column: by whose values the
    documents are named, where it is not by their identifiers. Raises UserError where no document of the run bears the
    name.
    """
    places = run.having(column, name) if column is not None else run.named(name)
    if not places:
        by = column or run.id_column
        what = f"column {by!r}" if by else "the SHA-256 of its text, as there is no id column"
        raise UserError(f"{run.folder}: no document there is named {name!r} (documents are named by {what})")
    links = run.links_of(np.array(places[:MOST_SHOWN], np.int64))
    told = [_told(run, place, links, colour, whole) for place in places[:MOST_SHOWN]]
    if len(places) > 1:
        told.insert(0, f"{len(places):,} documents are named so" + _more(len(places)))
    return "\n\n".join(told)


def _more(number: int) -> str:
    return f"; the first {MOST_SHOWN}:" if number > MOST_SHOWN else ":"


def _told(run: FinishedRun, place: int, links: Sequence[Link], colour: bool, whole: bool) -> str:
    """Tell of the document at a place; links: all with this row, and perhaps others."""
    own = next((link for link in links if link.row == place and link.rule != MISS), None)
    misses = sorted((link for link in links if link.rule == MISS and place in (link.row, link.kept_row)), key=_closest)
    if own is not None:
        return _removed(run, own, colour, whole)
    for_it = sorted((link for link in links if link.kept_row == place and link.rule != MISS), key=_closest)
    return _kept(run, place, for_it, misses, colour, whole)


def _closest(link: Link) -> tuple[float, int]:
    return -link.jaccard, link.row


def _removed(run: FinishedRun, link: Link, colour: bool, whole: bool) -> str:
    gone, kept = run.both(link)
    others = [other for other in run.links_of(np.array([link.kept_row])) if other.rule != MISS and other != link]
    settings = run.metrics["settings"]
    why = {
        "exact": "the same words in the same order: only case, punctuation or white space differ, if anything",
        "near": f"Jaccard similarity {shown_jaccard(link.jaccard)} of their shingles of {settings['shingle_words']} "
        f"words; the threshold is {run.threshold:g}, the rule {settings['rule']!r}",
    }[link.rule]
    lines = [
        _line("removed", gone),
        _line("kept", kept),
        f"  why        {link.rule}: {why}",
        "  stays      the one of the earlier crawl"
        if kept.crawl is not None
        else f"  stays      the one that comes first by --keep {safe_text(settings['keep'])}",
    ]
    if others:
        shown = ", ".join(f"{safe_text(each.id)} ({shown_jaccard(each.jaccard)})" for each in others[:MOST_SHOWN])
        more = f" and {len(others) - MOST_SHOWN:,} more" if len(others) > MOST_SHOWN else ""
        lines.append(f"  for it too {shown}{more}")
    return "\n".join([*lines, *_difference(gone, kept, colour, whole)])


def _kept(
    run: FinishedRun, place: int, for_it: Sequence[Link], misses: Sequence[Link], colour: bool, whole: bool
) -> str:
    document = run.documents([place])[place]
    lines = [_line("kept", document)]
    if for_it:
        shown = ", ".join(f"{safe_text(each.id)} ({shown_jaccard(each.jaccard)})" for each in for_it[:MOST_SHOWN])
        more = f" and {len(for_it) - MOST_SHOWN:,} more" if len(for_it) > MOST_SHOWN else ""
        lines.append(f"  stands for {len(for_it):,} removed: {shown}{more}")
    else:
        lines.append("  stands for no removed document")
    if not misses:
        lines.append(
            f"  nearest    no other kept document was found to be within 0.1 of the threshold {run.threshold:g}"
        )
        return "\n".join(lines)
    nearest = misses[0]
    twin = next(each for each in run.both(nearest) if each.place != place)
    lines += [
        _line("nearest", twin),
        f"  why        Jaccard similarity {shown_jaccard(nearest.jaccard)} is below the threshold {run.threshold:g}: "
        "both stayed",
    ]
    return "\n".join([*lines, *_difference(document, twin, colour, whole)])


def _line(word: str, document: Document) -> str:
    if document.crawl is not None:
        return f"  {word:<10} {safe_text(document.id)}  (of crawl {safe_text(document.crawl)})"
    return document_line(word, document.id, document.source, len(document.text))


def _mark(text: str, marks: Mapping[str, tuple[str, str]]) -> str:
    """Return the mark of what is not shown."""
    before, after = marks["skip"]
    return f"{before}… {text} …{after}"


def _difference(first: Document, second: Document, colour: bool, whole: bool) -> list[str]:
    """Tell in which words two texts differ, and with `whole` give both."""
    if second.crawl is not None:
        whole_text = ["", f"--- {safe_text(first.id)}", safe_text(first.text, keep="\n\t")] if whole else []
        return ["", f"the text of the other lies in the result of crawl {safe_text(second.crawl)}", *whole_text]
    marks = _COLOURED if colour else _PLAIN
    part = excerpt.differing(first.text, second.text)
    spans, beyond = excerpt.spans_of(part)
    words = [_mark(f"{part.before:,} equal characters", marks)] if part.before else []
    for span in spans:
        before, after = marks[span.kind]
        text = _mark(f"{len(span.words):,} equal words", marks) if span.kind == "skip" else safe_text(span.text)
        words.append(text if span.kind == "skip" else f"{before}{text}{after}")
    if any(beyond):
        of = f"{beyond[0]:,} more characters of the first and {beyond[1]:,} of the second, not compared"
        words.append(_mark(of, marks))
    if part.after:
        words.append(_mark(f"{part.after:,} equal characters", marks))
    only = [
        f"{before}{word}{after}" for (before, after), word in ((marks["delete"], "first"), (marks["insert"], "second"))
    ]
    told = ["", f"words only in the {only[0]} and only in the {only[1]}:", " ".join(words)]
    if whole:
        for document in (first, second):
            told += ["", f"--- {safe_text(document.id)}", safe_text(document.text, keep="\n\t")]
    return told
