"""A result that holds a report, which it shows: in a notebook below the cell, elsewhere in the browser."""

from __future__ import annotations

import html
import os
import sys
import tempfile
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from sparkprep.console import Shown, has_screen, safe_text, say_line
from sparkprep.io.files import open_input
from sparkprep.io.paths import is_local, join_path

REPORT = "report.html"

_FRAME = '<iframe srcdoc="{}" style="width:100%;height:800px;border:0" title="sparkprep report"></iframe>'


@dataclass(frozen=True)
class _Framed:
    """A page in a frame of a notebook. IPython's own HTML warns of frames, and wants the page at an address."""

    page: str
    place: str

    def __repr__(self) -> str:
        return f"report at {safe_text(self.place)}"

    def _repr_html_(self) -> str:
        return _FRAME.format(html.escape(self.page, quote=True))


class Reported(Shown):
    """What has written a report into its folder. The last row of what it shows is the report's place."""

    output: str
    """the folder of the result"""

    @property
    def report(self) -> str:
        """Where the report lies, a page to be looked at."""
        return join_path(self.output, REPORT)

    def show_report(self) -> str | None:
        """Show the report: in a notebook below the cell, elsewhere in the browser, and then return where it lies.

        A report on S3 is fetched first. Where there is no browser, its place is printed. In a notebook None is
        returned, which would show the place once more as the value of the cell.
        """
        with open_input(self.report) as stream:
            page = stream.read().decode()
        shell = sys.modules.get("IPython")
        if shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell":
            from IPython.display import display

            display(_Framed(page, self.report))  # type: ignore[no-untyped-call]
            return None
        path = self.report
        if not is_local(path):
            path = os.path.join(tempfile.mkdtemp(prefix="sparkprep-"), REPORT)
            Path(path).write_text(page, encoding="utf-8")
        if not (has_screen() and webbrowser.open(Path(path).as_uri())):
            say_line(f"open {path} in a browser")
        return path

    def cells(self) -> list[tuple[str, str]]:
        """Return what is shown as HTML, with a link to a report that a browser can open."""
        rows = super().cells()
        if is_local(self.output):
            rows[-1] = (rows[-1][0], f'<a href="{html.escape(_link(self.report))}" target="_blank">{rows[-1][1]}</a>')
        return rows


def _link(path: str) -> str:
    """Return a page's address: relative to the folder that a notebook's server shows, where it lies below that."""
    relative = os.path.relpath(path)
    return Path(path).as_uri() if relative.startswith(os.pardir) else relative
