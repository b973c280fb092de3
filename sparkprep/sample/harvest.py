"""Read the documents: docstrings, package descriptions and licence texts of the packages that sparkprep installs."""

import ast
import gc
import hashlib
import importlib.metadata as metadata
import platform
import re
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import cast

# What `pip install sparkprep[spark]` brings on every platform, and nothing that only a developer's tools bring
# (SciPy, pytest): the subsets must not change because somebody installed a linter.
PACKAGES = (
    *("numpy", "pandas", "pyarrow", "numba", "llvmlite", "pyspark", "py4j", "matplotlib", "contourpy", "cycler"),
    *("fonttools", "kiwisolver", "packaging", "pillow", "pyparsing", "python-dateutil", "jinja2", "markupsafe"),
    *("orjson", "zstandard"),
)
STDLIB = "python"

_SKIPPED_FOLDERS = {"tests", "test", "testing", "site-packages", "dist-packages", "__pycache__"}
# Parts of the standard library that Linux distributions leave out or put in packages of their own.
_OPTIONAL_STDLIB = {
    *("distutils", "ensurepip", "idlelib", "lib2to3", "tkinter", "turtledemo", "turtle.py", "lib-dynload"),
    *("sitecustomize.py", "config", "__phello__"),
}
_LICENCE_FILE = re.compile(r"licen[cs]e|copying|notice", re.IGNORECASE)
_TEXT_SUFFIXES = {"", ".txt", ".md", ".rst", ".apache", ".bsd", ".external", ".third-party", ".thirdparty"}
_WORD = re.compile(r"[^\W_]+")
_MIN_WORDS = 20
_MAX_UTF8_PER_CHARACTER = 1.2  # above it, the text is not mainly English


@dataclass(frozen=True, slots=True)
class Document:
    """One document and where it comes from. `kind`: docstring, description, licence or planted."""

    id: str
    url: str
    text: str
    package: str
    version: str
    licence: str | None
    kind: str
    planted_from: str | None = None


def document_id(url: str, location: str) -> str:
    """Return 16 hexadecimal digits that say nothing about the text: a hash of the url and of its origin."""
    return hashlib.sha256(f"{url}\n{location}".encode()).hexdigest()[:16]


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """Return the installed version by package, `None` where absent; Python's stands for the standard library."""
    installed: dict[str, str | None] = {STDLIB: platform.python_version()}
    for package in packages:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            installed[package] = None
    return installed


def harvest(packages: tuple[str, ...] = PACKAGES, *, stdlib: bool = True, min_characters: int = 200) -> list[Document]:
    """Return all documents of the packages (those not installed give none), sorted by id.

    Source files are parsed, never imported. The order of files on disk and the locale have no influence.
    """
    documents: list[Document] = []
    with _quick_parsing():
        for package in packages:
            documents += _from_distribution(package)
        if stdlib:
            documents += _from_stdlib()
    return sorted((d for d in documents if _is_usable(d.text, min_characters)), key=lambda d: d.id)


def split_longest(documents: list[Document], needed: int, *, part_characters: int = 2000) -> list[Document]:
    """Cut the longest documents at blank lines into parts until there are `needed` documents, or no long one is left.

    An installation without PySpark has fewer documents than a subset needs; cutting keeps the text real.
    """
    result: list[Document] = []
    missing = needed - len(documents)
    for document in sorted(documents, key=lambda d: (-len(d.text), d.id)):
        parts = _parts(document.text, part_characters) if missing > 0 else [document.text]
        if len(parts) == 1:
            result.append(document)
            continue
        missing -= len(parts) - 1
        for number, part in enumerate(parts, start=1):
            url = f"{document.url}#part-{number}"
            result.append(replace(document, id=document_id(url, document.id), url=url, text=part))
    return sorted(result, key=lambda d: d.id)


def docstrings(source: bytes, module: str) -> Iterator[tuple[str, str]]:
    """Yield (qualified name, docstring) of the module, its classes and its functions, in the order of the source.

    A file that this Python cannot parse (a template, a newer syntax) gives none.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    stack: list[tuple[str, ast.AST]] = [(module, tree)]
    while stack:
        name, node = stack.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if text := ast.get_docstring(node):
                yield name, text
        elif not isinstance(node, ast.If | ast.Try):  # definitions also stand under `if` and `try`
            continue
        children = [
            (f"{name}.{child.name}" if isinstance(child, _NAMED) else name, child)
            for child in ast.iter_child_nodes(node)
        ]
        stack.extend(reversed(children))


_NAMED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@contextmanager
def _quick_parsing() -> Iterator[None]:
    """Parse without the cyclic collector (a third of the time saved) and without warnings about other people's code."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if was_enabled:
            gc.enable()


def _is_usable(text: str, min_characters: int) -> bool:
    try:
        utf8_bytes = len(text.encode())
    except UnicodeEncodeError:  # a lone surrogate in a string literal
        return False
    return (
        len(text) >= min_characters
        and "\0" not in text
        and utf8_bytes <= _MAX_UTF8_PER_CHARACTER * len(text)
        and len(_WORD.findall(text)) >= _MIN_WORDS
    )


def _from_distribution(package: str) -> Iterator[Document]:
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return
    host, version, licence = f"https://{package}.docs.example", distribution.version, _licence_of(distribution)
    headers = _headers(distribution)
    body = str(headers.get_payload() or headers.get("Description") or "")
    yield _document(f"{host}/about", "METADATA", body, package, version, licence, "description")

    seen: Counter[str] = Counter()
    for path in sorted(distribution.files or [], key=str):
        inside = PurePosixPath(str(path).replace("\\", "/"))
        if ".." in inside.parts or _SKIPPED_FOLDERS.intersection(inside.parts):
            continue
        file = Path(str(distribution.locate_file(path)))
        if inside.suffix == ".py":
            for name, text in docstrings(_read(file), _module_name(inside)):
                seen[name] += 1
                url = f"{host}/{name}" + (f"#{seen[name]}" if seen[name] > 1 else "")
                yield _document(url, str(inside), text, package, version, licence, "docstring")
        elif _LICENCE_FILE.search(inside.name) and inside.suffix.lower() in _TEXT_SUFFIXES:
            # The folder name `x-1.2.dist-info` carries the version, which would make ids change with every release.
            place = re.sub(r"^[^/]*\.dist-info/", "", str(inside))
            text = _read(file).decode(errors="replace")
            yield _document(f"{host}/licences/{place}", place, text, package, version, licence, "licence")


def _from_stdlib() -> Iterator[Document]:
    root = Path(sysconfig.get_path("stdlib"))
    host, version = f"https://{STDLIB}.docs.example", platform.python_version()
    files = {PurePosixPath(file.relative_to(root).as_posix()): file for file in root.rglob("*.py")}
    seen: Counter[str] = Counter()
    for inside, file in sorted(files.items()):
        top = inside.parts[0]
        if _SKIPPED_FOLDERS.intersection(inside.parts) or top in _OPTIONAL_STDLIB or top.startswith("_sysconfigdata"):
            continue
        source = _read(file)
        texts = docstrings(source, _module_name(inside))
        if str(inside) == "pydoc_data/topics.py":  # the language reference that `help()` shows, as one dictionary
            texts = _string_dictionary(source, _module_name(inside))
        for name, text in texts:
            seen[name] += 1
            url = f"{host}/{name}" + (f"#{seen[name]}" if seen[name] > 1 else "")
            yield _document(url, str(inside), text, STDLIB, version, "PSF-2.0", "docstring")


def _string_dictionary(source: bytes, module: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                name, text = (part.value if isinstance(part, ast.Constant) else None for part in (key, value))
                if isinstance(name, str) and isinstance(text, str):
                    yield f"{module}.{name}", text


def _document(
    url: str, location: str, text: str, package: str, version: str, licence: str | None, kind: str
) -> Document:
    cleaned = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    return Document(document_id(url, location), url, cleaned, package, version, licence, kind)


def _licence_of(distribution: metadata.Distribution) -> str | None:
    """Return what METADATA names: the SPDX expression, else a short `License` line, else the classifiers."""
    headers = _headers(distribution)
    if expression := headers.get("License-Expression"):
        return str(expression)
    named = str(headers.get("License") or "").strip()
    if named and "\n" not in named and len(named) <= 100:
        return named
    classifiers = [str(c).rsplit(" :: ", 1)[-1] for c in headers.get_all("Classifier") or [] if "License ::" in str(c)]
    return "; ".join(classifiers) or None


def _headers(distribution: metadata.Distribution) -> Message:
    """Return METADATA as the mail message that it is; the declared interface promises only a part of that."""
    return cast(Message, distribution.metadata)


def _module_name(path: PurePosixPath) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:  # named by the package's list of files, yet not installed
        return b""


def _parts(text: str, size: int) -> list[str]:
    parts: list[str] = []
    for paragraph in text.split("\n\n"):
        if parts and len(parts[-1]) < size:
            parts[-1] += "\n\n" + paragraph
        else:
            parts.append(paragraph)
    if len(parts) > 1 and len(parts[-1]) < size:  # a short rest is no document of its own
        parts[-2:] = ["\n\n".join(parts[-2:])]
    return parts
