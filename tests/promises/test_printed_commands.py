"""The commands that messages tell a user to type run as they are printed, from any folder and any shell."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import ROOT

from sparkprep import cli, commands

PROGRAMS = re.compile(r"`(sparkprep|make|python3?|spark-submit|pip|train/\S+|jobs/\S+) ")


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for folder in ("sparkprep", "train", "jobs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def messages(tree: ast.Module) -> list[str]:
    """The texts of a module that are no docstrings, and the written parts of its f-strings."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documentation]
    return [node.value for node in found if isinstance(node.value, str)]


def calls(name: str) -> list[tuple[str, ...]]:
    """The words of each call of a function of `commands`; X stands for a word that is not written there.

    Calls with a list of words are left to the tests of what they print.
    """
    found = []
    for _, tree in sources():
        imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
        names = {each.name for node in imports if node.module == "sparkprep.commands" for each in node.names}
        for node in ast.walk(tree) if name in names else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                if any(isinstance(each, ast.Starred) for each in node.args):
                    continue
                words = [written(each) for each in node.args]
                found += [tuple(words)] if words else []
    return found


def written(word: ast.expr) -> str:
    """A word as it is written, X for what is not."""
    if isinstance(word, ast.JoinedStr):
        return "".join(written(part) for part in word.values)
    return str(word.value) if isinstance(word, ast.Constant) else "X"


def test_no_message_spells_a_command_out() -> None:
    """It would be right on one machine, in one folder; `commands` and `launch` know where they are.

    Not so where nothing of ours can be imported.
    """
    spelt = {
        f"{path.relative_to(ROOT)}: {text}"
        for path, tree in sources()
        for text in messages(tree)
        if PROGRAMS.search(text)
    }
    assert {
        line for line in spelt if not line.startswith(("jobs/", "sparkprep/spark/java.py", "train/trainer/__init__"))
    } == set()


@pytest.mark.parametrize(
    "words", sorted({words for words in calls("command") if words != ("X", "--help")}), ids=" ".join
)
def test_a_printed_command_is_one_that_the_program_takes(words: tuple[str, ...]) -> None:
    assert cli.parse(words).verb == words[0]


@pytest.mark.parametrize("words", sorted(set(calls("make"))), ids=" ".join)
def test_a_printed_make_is_a_target(words: tuple[str, ...]) -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert words[0] in targets
    assert all(re.fullmatch(r"[A-Z_]+=\S+", word) for word in words[1:])


def test_commands_run_from_any_folder_whatever_is_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for line in (
        commands.command("--version"),
        commands.make("--dry-run", "help"),
        commands.help_of("sparkprep dedup"),
    ):
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        subprocess.run(["bash", "-c", line], env=environment, check=True, capture_output=True, timeout=60)
    assert (tmp_path / commands.job("dedup")[0]).is_file()
    assert (tmp_path / commands.spark_submit()).is_file()


@pytest.mark.parametrize(("script", "words"), [("jobs/dedup.py", ["--size", "1k"]), ("jobs/tokens.py", [])])
def test_a_python_that_lacks_all_of_it_is_told_so_in_a_line(tmp_path: Path, script: str, words: list[str]) -> None:
    command = [sys.executable, "-I", "-S", str(ROOT / script), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: No module named 'sparkprep', so ")


def test_a_python_that_lacks_a_package_is_told_so_in_a_line(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from sparkprep.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["dedup", "--input", "x", "--output", "y"]
    command = [sys.executable, "-I", "-S", "-c", code, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: \w+ is not installed for this Python \(.*\); `make .*setup` makes one .*\n", done.stderr
    )


def test_a_python_that_is_too_old_is_told_so_in_a_line() -> None:
    code = f"import sys; sys.version_info = (3, 9, 18); sys.path[0] = {str(ROOT)!r}; import sparkprep"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1] == "ImportError: sparkprep wants Python 3.11 or newer"
