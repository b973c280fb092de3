"""What is public says what it does: a docstring that begins with a verb and reads well alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

from checkout import ROOT

# No verbs; with these a docstring describes a thing rather than what the function does.
OTHER_WORDS = {
    *("A", "All", "An", "Each", "For", "From", "How", "It", "Like", "No", "Of", "One", "Some", "That", "The", "This"),
    *("Those", "True", "What", "Where", "Whether", "Which"),
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_property(function: Function) -> bool:
    """Whether a function is a property, or one of the signatures by which a type checker knows another one."""
    return any(
        word in ast.unparse(decorator)
        for decorator in function.decorator_list
        for word in ("property", "setter", "overload")
    )


def public_functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Function]]:
    """The functions and methods of a module without an underscore, properties left out: they are things."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{node.name}.")
        elif isinstance(node, Function) and not node.name.startswith("_") and not is_property(node):
            yield prefix + node.name, node


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for folder in ("sparkprep", "train"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def test_every_module_says_what_it_is_for() -> None:
    assert [str(path) for path, tree in modules() if tree.body and not ast.get_docstring(tree)] == []


def test_every_public_function_begins_its_docstring_with_a_verb() -> None:
    wrong = []
    for path, tree in modules():
        for name, function in public_functions(tree.body):
            words = (ast.get_docstring(function) or "").split()
            if not words or words[0] in OTHER_WORDS or not words[0][0].isupper():
                wrong.append(f"{path}:{function.lineno} {name}: {' '.join(words[:6]) or 'no docstring'}")
    assert wrong == []


def test_no_function_is_longer_than_a_screen() -> None:
    long = []
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, Function) and (node.end_lineno or 0) - node.lineno >= 60:
                long.append(f"{path}:{node.lineno} {node.name}")
    assert long == []
