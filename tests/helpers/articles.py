"""Pages with an article, of which something inside it is looked at."""

from sparkprep.extract.main_text import page_of

LONG = "This is a paragraph of running text, which goes on for long enough to look like one, and then some more. "


def text_of(body: str, extractor: str = "blocks") -> str:
    """Return the text of a page with this body."""
    return page_of(f"<html><body>{body}</body></html>".encode(), "text/html; charset=utf-8", extractor).text


def article(inner: str) -> str:
    """Return an article that has something in it between two paragraphs."""
    return f"<article><p>{LONG * 3}</p>{inner}<p>{LONG}</p></article>"


def between(inner: str) -> str:
    """Return the text of something inside an article."""
    text = text_of(article(inner))
    assert text.startswith(LONG.strip())
    return text.removeprefix((LONG * 3).strip()).removesuffix(LONG.strip()).strip("\n")
