"""The dedup job on a disk and through S3, in turns: CPU seconds of everything that each starts.

The server is moto's, on this machine and in a process of its own, which is not counted; input, output and intermediate
tables lie in a bucket of it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from common import ROOT, add_spark_arguments, require_text, scratch, spark_environment, subset
from figures import machine, print_table
from measure import Measured, measure_checked

BUCKET = "bench"
LOCAL, S3 = "on a disk", "through S3"


@contextmanager
def server() -> Iterator[dict[str, str]]:
    """A server with one empty bucket; yields the variables of the environment that lead to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    env = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        os.environ.update(env)
        deadline = time.monotonic() + 60
        while True:
            try:
                boto3.client("s3").create_bucket(Bucket=BUCKET)
                break
            except (BotoCoreError, ClientError):  # until it listens
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield env
    finally:
        process.terminate()
        process.wait(timeout=30)


def upload(data: Path) -> str:
    """Put the files into the bucket; return the prefix."""
    for file in [data] if data.is_file() else sorted(data.glob("*.parquet")):
        boto3.client("s3").upload_file(str(file), BUCKET, f"in/{file.name}")
    return f"s3://{BUCKET}/in"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="PATH", help="Parquet file or folder (default: embedded 10k)")
    parser.add_argument("--runs", type=int, default=3, help="of each, in turns; the best counts (default 3)")
    add_spark_arguments(parser)
    args = parser.parse_args()
    data = require_text(args.data) if args.data else subset("10k").documents
    env = spark_environment(args.driver_memory, args.cores, args.conf)
    runs: dict[str, list[Measured]] = {LOCAL: [], S3: []}
    job = [sys.executable, str(ROOT / "jobs" / "dedup.py"), "--quiet", "--overwrite", "--input"]
    with server() as at_server, scratch(args.temp) as folder:
        places = {LOCAL: (str(data), str(folder / "out")), S3: (upload(data), f"s3://{BUCKET}/out")}
        for _ in range(args.runs):
            for which, (source, output) in places.items():
                runs[which].append(measure_checked([*job, source, "--output", output], env={**env, **at_server}))
            shutil.rmtree(folder / "out")
    print(f"{machine()}\nbest of {args.runs} by CPU seconds\n")
    best = {which: min(of_one, key=lambda run: run.cpu_s) for which, of_one in runs.items()}
    rows = [(which, f"{run.cpu_s:.1f}", f"{run.wall_s:.1f}") for which, run in best.items()]
    print_table(("", "CPU s", "wall s"), rows)
    print(f"\nratio {best[S3].cpu_s / best[LOCAL].cpu_s:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
