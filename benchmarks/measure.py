"""What a command costs: wall time, CPU seconds and memory of everything that it starts, as one JSON line.

    python benchmarks/measure.py [--runs N] -- COMMAND ARG...        the command's own output goes to standard error

PySpark's worker daemon ignores SIGCHLD, and then Linux forgets the CPU time of a worker when it ends: `time`, rusage
and psutil make a job of many Python seconds look like one of none. So the command runs in a control group of its own
(cpuacct of version 1, or version 2), which goes on counting. Where none can be made, processes are looked at ten times
a second and what they used between the last look and their end is lost; "note" then says so.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

INTERVAL = 0.1
PATIENCE = 10.0
"""Seconds that what a command leaves behind (a JVM on its way out) may still take to end."""
KINDS = ("JVM", "Python", "worker", "other")
"""Of processes: Java's, Python's (of Spark, the driver's and the daemon's), Spark's Python workers."""
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_JOIN = 'echo $$ >"$0" && exec "$@"'
_DAEMONS = (b"pyspark.daemon", b"sparkprep.startup.worker_daemon")
_SAMPLED = "no control group could be made: CPU seconds are sampled, a lower bound"


@dataclass(frozen=True)
class Measured:
    """Seconds, and MB of 1,000,000 bytes.

    peak_rss_mb: the greatest sum of resident sizes at one moment; pages that processes share count in each.
    worker_peaks_mb: of each Python worker of Spark the greatest resident size (the kernel's own mark), largest first.
    note: empty, or what is wrong with the figures.
    """

    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    worker_peaks_mb: tuple[float, ...]
    rc: int
    note: str = ""


@dataclass(frozen=True)
class Look:
    """What was seen at one moment.

    time: seconds since the epoch. cpu_s: so far. resident: bytes of each of KINDS, of all its processes together.
    largest_worker: of one process.
    """

    time: float
    cpu_s: float
    resident: dict[str, int]
    largest_worker: int


class ControlGroup:
    """A group of processes whose CPU time the kernel adds up, those that have ended included."""

    def __init__(self, folder: Path, version: int) -> None:
        self._folder, self._version = folder, version

    @classmethod
    def make(cls) -> ControlGroup | None:
        """A new one below our own or, in a container that hides that, at the top; None where neither may be done."""
        for parent, version in _parents():
            folder = parent / f"measure-{os.getpid()}-{time.time_ns()}"
            group = cls(folder, version)
            try:
                folder.mkdir()
                subprocess.run(group.wrap(["true"]), check=True, stderr=subprocess.DEVNULL)
                group.cpu_seconds()
            except (OSError, ValueError, subprocess.CalledProcessError):
                group.close()
                continue
            return group
        return None

    def wrap(self, command: Sequence[str]) -> list[str]:
        """The command with a shell before it that joins the group and then becomes the command."""
        return ["/bin/sh", "-c", _JOIN, str(self._folder / "cgroup.procs"), *command]

    def cpu_seconds(self) -> float:
        if self._version == 1:
            return int((self._folder / "cpuacct.usage").read_text()) / 1e9
        figures = dict(line.split() for line in (self._folder / "cpu.stat").read_text().splitlines())
        return int(figures.get("usage_usec", "")) / 1e6

    def pids(self) -> list[int]:
        return [int(pid) for pid in (self._folder / "cgroup.procs").read_text().split()]

    def end(self) -> None:
        """Wait for what is still running in the group, and stop it when that takes too long."""
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            for pid in self.pids() if number else ():
                try:
                    os.kill(pid, number or 0)
                except ProcessLookupError:
                    continue
            deadline = time.monotonic() + PATIENCE
            while self.pids() and time.monotonic() < deadline:
                time.sleep(0.02)

    def close(self) -> None:
        for _ in range(50):
            try:
                self._folder.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:  # the last process is not quite gone
                time.sleep(0.05)


def _parents() -> Iterator[tuple[Path, int]]:
    """Folders in which a control group might be made, each with its version; cpuacct of version 1 first."""
    own: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))  # version 2 has no controllers here: ""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    for kind, version, controller in (("cgroup", 1, "cpuacct"), ("cgroup2", 2, "")):
        for _, where, found, options, *_ in mounts:
            if found == kind and (version == 2 or controller in options.split(",")):
                below = Path(where) / own.get(controller, "/").lstrip("/")
                yield from ((folder, version) for folder in dict.fromkeys((below, Path(where))) if folder.is_dir())


@dataclass
class _Process:
    cpu: float = 0.0
    peak: int = 0
    worker: bool = False
    kind: str = ""


@dataclass
class _Watch:
    """What has been seen of the processes of one run. A process is its number and its start time."""

    root: int
    group: ControlGroup | None
    tell: Callable[[Look], None] | None = None
    seen: dict[tuple[int, str], _Process] = field(default_factory=dict)
    peak: int = 0

    def look(self) -> None:
        total, of_kind, largest = 0, dict.fromkeys(KINDS, 0), 0
        stats = {pid: stat for pid in self._candidates() if (stat := _stat(pid))}
        for pid in self.group.pids() if self.group else self._descendants(stats):
            if pid not in stats:
                continue
            stat = stats[pid]
            process = self.seen.setdefault((pid, stat[19]), _Process())
            process.cpu = (int(stat[11]) + int(stat[12])) / _TICK
            resident = int(stat[21]) * _PAGE
            process.peak = max(process.peak, resident, _high_water(pid))
            process.worker = process.worker or _is_worker(pid, int(stat[1]))
            total += resident
            process.kind = _kind(pid) or process.kind  # the program changes: a shell becomes it
            of_kind["worker" if process.worker else process.kind or "other"] += resident
            largest = max(largest, resident if process.worker else 0)
        self.peak = max(self.peak, total)
        if self.tell is not None:
            cpu = self.group.cpu_seconds() if self.group else sum(process.cpu for process in self.seen.values())
            self.tell(Look(time.time(), cpu, of_kind, largest))

    def _candidates(self) -> list[int]:
        return self.group.pids() if self.group else [int(name) for name in os.listdir("/proc") if name.isdigit()]

    def _descendants(self, stats: Mapping[int, list[str]]) -> set[int]:
        """The root, its children's children, and what was one of them when it was seen before."""
        children: dict[int, list[int]] = {}
        for pid, stat in stats.items():
            children.setdefault(int(stat[1]), []).append(pid)
        found: set[int] = set()
        todo = [self.root, *(pid for pid, start in self.seen if pid in stats and stats[pid][19] == start)]
        while todo:
            pid = todo.pop()
            if pid not in found:
                found.add(pid)
                todo += children.get(pid, [])
        return found


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on: 1 parent, 11 and 12 CPU ticks, 19 start, 21 resident pages."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def _high_water(pid: int) -> int:
    """The greatest resident size so far, in bytes; 0 where the kernel does not tell."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:  # it has ended
        return 0
    return 0


def _is_worker(pid: int, parent: int) -> bool:
    """Workers are forks of `-m pyspark.daemon` (or ours) and so bear its command line; without a daemon, they are
    `-m pyspark.worker`."""
    line = _command_line(pid)
    if any(daemon in line for daemon in _DAEMONS):
        return line == _command_line(parent)
    return b"\0pyspark.worker" in line


def _kind(pid: int) -> str:
    """One of KINDS by the program, as far as that tells; empty for one that has ended."""
    try:
        name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""
    return "JVM" if name == "java" else "Python" if name.startswith("python") else "other"


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def measure(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    output: Path | None = None,
    control_group: bool = True,
    tell: Callable[[Look], None] | None = None,
) -> Measured:
    """Run a command to its end, and to the end of all that it has started.

    env: variables on top of ours. output: a file for what it prints, by default our standard error. control_group:
    False to sample in any case. tell: called with each look at the processes, ten a second, in a thread.
    """
    if not Path("/proc/self/stat").exists():
        raise SystemExit("measure.py reads /proc: it needs Linux")
    group = ControlGroup.make() if control_group else None
    sink = output.open("wb") if output else None
    try:
        start = time.monotonic()
        child = subprocess.Popen(
            group.wrap(command) if group else list(command),
            stdout=sink or sys.stderr.fileno(),
            stderr=subprocess.STDOUT if sink else None,
            env={**os.environ, **(env or {})},
        )
        watch, done = _Watch(child.pid, group, tell), threading.Event()

        def keep_looking() -> None:
            watch.look()
            while not done.wait(INTERVAL):
                watch.look()

        watcher = threading.Thread(target=keep_looking, daemon=True)
        watcher.start()
        try:
            rc = child.wait()
            wall = time.monotonic() - start
        finally:
            if group:
                group.end()
            done.set()
            watcher.join()
        cpu = group.cpu_seconds() if group else sum(process.cpu for process in watch.seen.values())
    finally:
        if group:
            group.close()
        if sink:
            sink.close()
    workers = sorted((process.peak for process in watch.seen.values() if process.worker), reverse=True)
    peaks = tuple(round(peak / 1e6, 1) for peak in workers)
    return Measured(round(wall, 2), round(cpu, 2), round(watch.peak / 1e6, 1), peaks, rc, "" if group else _SAMPLED)


def measure_checked(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, tell: Callable[[Look], None] | None = None
) -> Measured:
    """`measure`, its output kept back; where the command fails, the benchmark ends and says where the output is."""
    descriptor, name = tempfile.mkstemp(prefix="measure-", suffix=".log")
    os.close(descriptor)
    log = Path(name)
    measured = measure(command, env=env, output=log, tell=tell)
    if measured.rc != 0:
        shown = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:])
        raise SystemExit(f"{shown}\n{shlex.join(command)}\nended with {measured.rc}; above the end of {log}")
    log.unlink()
    return measured


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1, help="run it so often; the one of least CPU seconds is printed")
    parser.add_argument("--sampled", action="store_true", help="do without a control group")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ARG...")
    args = parser.parse_args()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command or args.runs < 1:
        parser.error("name a command after --, and one run or more")
    runs = [measure(command, control_group=not args.sampled) for _ in range(args.runs)]
    best = min(runs, key=lambda run: run.cpu_s)
    print(json.dumps({**asdict(best), "all_cpu_s": [run.cpu_s for run in runs], "command": shlex.join(command)}))
    return max(run.rc for run in runs)


if __name__ == "__main__":
    sys.exit(main())
