"""Ceph's RADOS Gateway, a second and independent server of S3's protocol: started, killed, started again, stopped.

A monitor, one storage daemon that keeps its objects in memory, and the gateway, from Debian's packages: processes of
ours with all their files in one folder, and none of the system's services. The objects live as long as the storage
daemon, so that the gateway, which is all that a client sees, can be killed at any moment and come again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from remote import access_to

PACKAGES = ("ceph-mon", "ceph-osd", "radosgw")
"""Debian's, with all that they need; `make storage-test` installs them."""
PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "openssl", "radosgw", "radosgw-admin")
_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""What ends a process when the one that started it has ended, as one does that is killed before it can stop it."""
_SECONDS_TO_START = 120
_NO_SUCH_THING = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}  # Ceph's own Python is the system's

_SETTINGS = """
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{ports[0]}/0,v1:127.0.0.1:{ports[1]}/0]
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
run dir = {root}
admin socket = {root}/$name.asok
log file = {root}/$name.log
keyring = {root}/keyring

# One of everything: no copies, few placement groups, no manager.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data = {root}/mon
mon data avail crit = 1
mon data avail warn = 1

osd data = {root}/osd
osd objectstore = memstore
memstore device bytes = 8589934592
osd class update on start = false
osd crush update on start = false

[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{ports[2]} ssl_endpoint=127.0.0.1:{ports[3]} ssl_certificate={root}/own.pem
rgw data = {root}/rgw
rgw thread pool size = 64
rgw enable usage log = false
"""


@dataclass(frozen=True)
class User:
    """Who asks the server."""

    name: str
    access_key: str
    secret_key: str


def missing() -> list[str]:
    """Return the programs that are not installed here."""
    return [name for name in PROGRAMS if shutil.which(name, path=_NO_SUCH_THING["PATH"]) is None]


class Ceph:
    """A running server.

    url, secure_url: where it answers, the second by https, with a certificate that is in the file `certificate`. owner:
    a user, who may make buckets. Use `running`, which stops it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        ports = _free_ports(4)
        self.url, self.secure_url = f"http://127.0.0.1:{ports[2]}", f"https://127.0.0.1:{ports[3]}"
        self.certificate = root / "own.pem"
        self._fsid = str(uuid.uuid4())
        (root / "ceph.conf").write_text(_SETTINGS.format(fsid=self._fsid, root=root, ports=ports))
        for name in ("mon", "osd", "rgw"):
            (root / name).mkdir()
        (root / "keyring").touch()
        # From a thread of their own, which lives as long as this: a process is tied to the thread that started it.
        self._starter = ThreadPoolExecutor(1)
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._monitor = f"[v2:127.0.0.1:{ports[0]}/0,v1:127.0.0.1:{ports[1]}/0]"

    def start(self) -> None:
        """Start all of it and make the owner. Raises RuntimeError, with what was said, where that does not succeed."""
        names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
        files = ("-keyout", str(self.certificate), "-out", str(self.certificate) + ".public")
        self._run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files)
        with self.certificate.open("a") as both:
            both.write(Path(f"{self.certificate}.public").read_text())
        monmap = str(self._root / "monmap")
        self._run("monmaptool", "--create", "--fsid", self._fsid, "--addv", "a", self._monitor, monmap)
        self._run("ceph-mon", "--mkfs", "--id", "a", "--monmap", monmap)
        self._daemon("ceph-mon", "--id", "a")
        identity = str(uuid.uuid4())
        self._run("ceph", "osd", "new", identity)
        self._run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=here")
        self._run("ceph-osd", "--id", "0", "--mkfs", "--osd-uuid", identity)
        self._daemon("ceph-osd", "--id", "0")
        self.start_gateway()
        self.owner = self.add_user("owner")

    def start_gateway(self) -> None:
        """Start the gateway, or start it again where it was killed; return when it answers."""
        gateway = self._daemon("radosgw", "--id", "rgw.a")
        deadline = time.monotonic() + _SECONDS_TO_START
        while not _answers(self.url):
            if gateway.poll() is not None or time.monotonic() > deadline:
                log = self._root / "client.rgw.a.log"
                raise RuntimeError(f"Ceph's gateway does not answer; its log ends with:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)

    def kill_gateway(self) -> None:
        """End the gateway by SIGKILL: what it was just asked gets no answer."""
        gateway = self._daemons.pop("radosgw")
        gateway.kill()
        gateway.wait()

    def add_user(self, name: str) -> User:
        """Make a user, who owns nothing and may do nothing to what others own."""
        said = self._run("radosgw-admin", "user", "create", "--uid", name, "--display-name", name)
        (keys,) = json.loads(said[said.index("{") :])["keys"]
        return User(name, keys["access_key"], keys["secret_key"])

    def access(self, user: User | None = None, url: str | None = None) -> dict[str, str]:
        """Return the variables by which an AWS client asks it as a user. user: the owner where none is named.

        url: where it is asked, if not directly.
        """
        user = user or self.owner
        return access_to(url or self.url, user.access_key, user.secret_key)

    def stop(self) -> None:
        """End all its processes. None needs to write anything down."""
        for daemon in reversed(list(self._daemons.values())):
            daemon.kill()
            daemon.wait()
        self._daemons.clear()
        self._starter.shutdown()

    def pids(self) -> list[int]:
        """Return its processes."""
        return [daemon.pid for daemon in self._daemons.values()]

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [*words, *self._settings(words[0])],
            env=_NO_SUCH_THING,
            cwd=self._root,
            capture_output=True,
            text=True,
            timeout=_SECONDS_TO_START,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"`{' '.join(words)}` ends with code {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def _daemon(self, *words: str) -> subprocess.Popen[bytes]:
        command = [*_WITH_US, *words, *self._settings(words[0]), "--foreground"]
        with (self._root / f"{words[0]}.out").open("ab") as stream:
            begin = self._starter.submit(
                subprocess.Popen,
                command,
                env=_NO_SUCH_THING,
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
            self._daemons[words[0]] = begin.result()
        return self._daemons[words[0]]

    def _settings(self, program: str) -> list[str]:
        return [] if program in ("monmaptool", "openssl") else ["--conf", str(self._root / "ceph.conf")]


@contextlib.contextmanager
def running() -> Iterator[Ceph]:
    """Run a server for the block; at its end no process and no file of it is left."""
    # Not in pytest's folders, whose paths are too long for the socket of a process.
    with tempfile.TemporaryDirectory(prefix="ceph-") as folder:
        ceph = Ceph(Path(folder))
        try:
            ceph.start()
            yield ceph
        finally:
            ceph.stop()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
