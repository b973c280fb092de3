"""Write our spark-submit for the Python that runs this: `python scripts/install_launcher.py FOLDER`."""

import importlib.util
import shlex
import sys
from pathlib import Path

TEMPLATE = Path(__file__).with_name("spark-submit.in")


def install(folder: Path) -> Path:
    """Write `folder`/spark-submit, replacing what is there; the path of it."""
    package = importlib.util.find_spec("sparkprep")
    if package is None or package.origin is None:
        sys.exit("sparkprep is not installed in this Python")
    environment = Path(package.origin).parent / "spark" / "java.py"
    text = TEMPLATE.read_text(encoding="utf-8")
    text = text.replace("@PYTHON@", shlex.quote(sys.executable)).replace("@ENVIRONMENT@", shlex.quote(str(environment)))
    target = folder / "spark-submit"
    target.unlink(missing_ok=True)  # pip's may be a link into a store shared with other environments
    target.write_text(text, encoding="utf-8")
    target.chmod(0o755)
    return target


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    install(Path(sys.argv[1]))
