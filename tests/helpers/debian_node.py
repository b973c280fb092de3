"""A node of a cluster as `emr/bootstrap.sh` meets it: a Debian of its own, with stand-ins for what only EMR has.

Debian 12 has the same Python as EMR's nodes, and a real sudo. Of Amazon Linux it lacks dnf, and of a running system
systemd; `aws` reads from a folder in place of S3. What a stand-in was asked for, it writes down.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from checkout import ROOT

from sparkprep.emr.places import NODE_PYTHON, Staged

PACKAGES = "python3-venv,sudo"
STAGED = Staged("s3://bucket/my prefix")
"""Where everything is staged: with a blank, which must do no harm."""
INSTANCE = "/mnt/var/lib/info/instance.json"
PATHS = "/usr/local/bin:/usr/bin:/bin"
_MADE = ".made"
_STUB = "#!/bin/bash\nprintf '%s\\n' \"$*\" >>/var/log/asked/${0##*/}\n"
_FAILS = """\
left=$(cat "/var/log/asked/fail-${0##*/}" 2>/dev/null || echo 0)
if ((left)); then
    echo $((left - 1)) >"/var/log/asked/fail-${0##*/}"
    echo "fatal error: An error occurred (503) when calling the HeadObject operation: Slow Down" >&2
    exit 1
fi
"""
_AWS = """\
[[ "$1 $2" == "s3 cp" ]] || exit 252
words=()
for word in "${@:3}"; do
    [[ $word == --* ]] || words+=("$word")
done
source="/srv/s3/${words[0]#s3://}"
if [[ ! -e $source ]]; then
    echo "fatal error: An error occurred (404) when calling the HeadObject operation: Key does not exist" >&2
    exit 1
fi
if [[ " $* " == *" --recursive "* ]]; then
    mkdir -p "${words[1]}" && cp -r "$source/." "${words[1]}"
else
    cp "$source" "${words[1]}"
fi
"""
STUBS = {
    "usr/local/bin/aws": _STUB + _FAILS + _AWS,
    "usr/bin/dnf": _STUB + _FAILS + "mv /usr/bin/python3.11-not-yet /usr/bin/python3.11\n",
    "usr/bin/systemd-run": _STUB,
    "usr/bin/systemctl": _STUB,
}
# As Amazon Linux: the path of sudo knows no /usr/local.
_SUDOERS = 'Defaults secure_path="/sbin:/bin:/usr/sbin:/usr/bin"\nhadoop ALL=(ALL) NOPASSWD: ALL\n'
_USERS = """\
groupadd hadoop; useradd --create-home --gid hadoop hadoop
useradd --no-create-home --home-dir /var/lib/hadoop-yarn --groups hadoop yarn
useradd --no-create-home --home-dir /nonexistent stranger
mkdir -p -m 777 /var/log/asked /mnt/var/lib/info
"""


@dataclass(frozen=True)
class Done:
    """A command that has ended. output: stdout and stderr."""

    code: int
    output: str
    seconds: float

    @property
    def last(self) -> str:
        """The last line."""
        return self.output.strip().rpartition("\n")[2]


@dataclass(frozen=True)
class Node:
    """root: of its file system, seen from here. s3: the folder in place of S3."""

    root: Path
    s3: Path

    @property
    def staged(self) -> Path:
        """The folder that stands for the staged prefix."""
        return self.s3 / STAGED.prefix.removeprefix("s3://")

    def bootstrap(self, *args: str, path: str = PATHS) -> Done:
        """Run the bootstrap as EMR does; without arguments, with the staged prefix."""
        shutil.copy(ROOT / "emr" / "bootstrap.sh", self.root / "home" / "hadoop")
        words = ["bash", "/home/hadoop/bootstrap.sh", *(args or (STAGED.prefix,))]
        return self.run("hadoop", *words, PATH=path, SPARKPREP_RETRY_SECONDS="0")

    def run(self, user: str, *words: str, **environ: str) -> Done:
        """Run a command as a user of the node, with nothing in its environment but what is given."""
        settings = {"PATH": PATHS, "HOME": self._home(user), **environ}
        groups = [] if user in ("root", "stranger") else ["--groups=hadoop"]
        group = {"hadoop": "hadoop", "root": "root"}.get(user, user)
        enter = ["chroot", f"--userspec={user}:{group}", *groups, str(self.root), "/usr/bin/env", "-i"]
        start = time.monotonic()
        done = subprocess.run(
            [*enter, *(f"{name}={value}" for name, value in settings.items()), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=900,
        )
        return Done(done.returncode, done.stdout, time.monotonic() - start)

    def python(self, user: str, *words: str, **environ: str) -> Done:
        """Run the Python that the bootstrap has made."""
        return self.run(user, NODE_PYTHON, "-I", *words, **environ)

    def asked(self, name: str) -> list[str]:
        """Return what a stand-in was asked for, since this was looked at last."""
        log = self.root / "var/log/asked" / name
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def fails(self, name: str, times: int) -> None:
        """Let a stand-in fail so many times from now on."""
        file = self.root / "var/log/asked" / f"fail-{name}"
        file.write_text(str(times))
        file.chmod(0o666)

    def is_primary(self, is_primary: bool) -> None:
        """Say which node this is, as EMR does."""
        (self.root / INSTANCE.lstrip("/")).write_text(f'{{\n  "isMaster": {str(is_primary).lower()},\n  "x": "y"}}')

    @contextlib.contextmanager
    def small_disk(self, folder: str, megabytes: int) -> Iterator[None]:
        """Give a folder a disk of its own while this lasts."""
        inside = self.root / folder.lstrip("/")
        _mount("-t", "tmpfs", "-o", f"size={megabytes}m,mode=1777", "tmpfs", inside)
        try:
            yield
        finally:
            _unmount(inside)

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """Let nobody write anywhere while this lasts."""
        _mount("-o", "remount,ro", self.root)
        try:
            yield
        finally:
            _mount("-o", "remount,rw", self.root)

    def _home(self, user: str) -> str:
        lines = (line.split(":") for line in (self.root / "etc/passwd").read_text().splitlines())
        return next(line[5] for line in lines if line[0] == user)


def debian(cache: Path) -> Path:
    """Return the folder of a Debian with Python and sudo, made once by debootstrap (a minute or two)."""
    root = cache / "debian-12"
    if not (root / _MADE).exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        subprocess.run(["chroot", root, "/bin/bash", "-ec", _USERS], check=True)
        (root / "etc/sudoers.d/hadoop").write_text(_SUDOERS)
        (root / _MADE).touch()
    return root


@contextlib.contextmanager
def started(base: Path, folder: Path, s3: Path) -> Iterator[Node]:
    """Yield a node whose files lie in a new folder, over those of a Debian; the folder s3 stands for S3.

    Both go with the node, of some 700 MB.
    """
    root, upper, work = (folder / name for name in ("root", "upper", "work"))
    for path in (root, upper, work):
        path.mkdir(parents=True)
    with contextlib.ExitStack() as mounted:
        mounted.callback(shutil.rmtree, folder)
        mounted.callback(shutil.rmtree, s3)
        options = f"lowerdir={base},upperdir={upper},workdir={work}"
        _mount("-t", "overlay", "-o", options, "overlay", root)
        mounted.callback(_unmount, root)
        for name, content in STUBS.items():
            (root / name).write_text(content)
            (root / name).chmod(0o755)
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost {os.uname().nodename}\n")
        (root / "srv/s3").mkdir()
        for source, target in (("/proc", "proc"), ("/dev", "dev"), (str(s3), "srv/s3")):
            _mount("--bind", source, root / target)
            mounted.callback(_unmount, root / target)
        yield Node(root, s3)


def linked(source: Path, target: Path) -> None:
    """Put the files of a folder into another: as links, so that no byte is copied where that can be."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        try:
            os.link(file, target / file.name)
        except OSError:
            shutil.copy(file, target)


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", folder], check=True)
