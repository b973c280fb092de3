"""Put compiled modules into the archives that Spark runs Python from: `python scripts/precompile_spark.py`.

spark-submit's driver and every worker import PySpark from `python/lib/pyspark.zip` inside the pip package, never from
the package itself, and pip's archive holds sources only, so each of them compiled PySpark anew: 0.6 s of CPU each time.
A Python of another version passes over the compiled modules and reads the sources, which stay.
"""

import compileall
import importlib.util
import os
import re
import shutil
import tempfile
import warnings
from pathlib import Path
from py_compile import PycInvalidationMode
from zipfile import ZIP_DEFLATED, ZipFile

# Parts that no worker of ours imports, half of the archive: the pandas interface (not sql/pandas) and PySpark's tests.
LEFT_OUT = re.compile(r"/pyspark/pandas/|/tests/")


def precompile(archive: Path) -> None:
    """Add a .pyc beside each .py of a zip archive, replacing the file only once it is whole."""
    with tempfile.TemporaryDirectory() as folder:
        copy, tree = Path(folder) / archive.name, Path(folder) / "tree"
        shutil.copy(archive, copy)
        with ZipFile(copy, "a", ZIP_DEFLATED) as bundle:
            names = set(bundle.namelist())
            if any(name.endswith(".pyc") for name in names):
                return
            bundle.extractall(tree)
            # legacy: beside the source, the one place that an import from an archive looks at. By hash and unchecked,
            # since the times of files in an archive are not those of the files they were made from.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)  # PySpark's own
                compileall.compile_dir(
                    tree,
                    quiet=2,
                    legacy=True,
                    stripdir=tree,
                    rx=LEFT_OUT,
                    invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
                )
            for compiled in sorted(tree.rglob("*.pyc")):
                bundle.write(compiled, compiled.relative_to(tree).as_posix())
        whole = archive.with_suffix(".new")
        shutil.copy(copy, whole)
        os.replace(whole, archive)


if __name__ == "__main__":
    package = importlib.util.find_spec("pyspark")
    if package is not None and package.origin is not None:
        for found in sorted((Path(package.origin).parent / "python" / "lib").glob("*.zip")):
            precompile(found)
