"""``make demo``: runs the cross-validation notebook without a browser, prints its accuracies, writes it as HTML, and a
report of its session beside it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import light_imports as light_imports

# isort: split
from jinja2 import DictLoader
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from tqdm import tqdm

from notebooks import FOLDER, run

REPORTING = "reporting"
NOTEBOOK = FOLDER / "2_cross_validation.ipynb"

OFFLINE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""
"""nbconvert's own template less the scripts that it loads from elsewhere; what is left may load nothing."""


class Progress:
    """Tells on the terminal which part of the notebook runs, and how far the tasks are."""

    def __init__(self) -> None:
        self._bars: dict[str, tqdm[Any]] = {}
        self._title = ""

    def on_cell_start(self, cell: NotebookNode, cell_index: int) -> None:
        """Say what comes next: the first words of each heading."""
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            self._title = cell.source.splitlines()[0].lstrip("# ")
        elif cell.cell_type == "code" and self._title:
            print(f"  {self._title} ...", flush=True)
            self._title = ""

    def on_bar(self, number: str, value: float, total: float) -> None:
        """A bar of the notebook went on."""
        if total and number not in self._bars:
            self._bars[number] = tqdm(total=int(total), unit="task", desc="  tasks", leave=True, mininterval=0)
        if number in self._bars:
            bar = self._bars[number]
            bar.total = int(total)
            bar.update(int(value) - bar.n)

    def close(self) -> None:
        """Leave the bars as they are."""
        for bar in self._bars.values():
            bar.close()


def reporting(report: Path) -> Callable[[NotebookNode], None]:
    """What has a notebook write a report before its last cell, which ends the cluster."""

    def change(notebook: NotebookNode) -> None:
        source = f"session.report({str(report)!r}, packages=['numpy', 'scikit-learn']);"
        notebook.cells.insert(-1, new_code_cell(source, metadata={"tags": [REPORTING]}))

    return change


def accuracies(notebook: NotebookNode) -> str:
    """The table that the notebook printed."""
    cell = next(cell for cell in notebook.cells if "accuracies" in cell.metadata.get("tags", []))
    return "".join(output.text for output in cell.outputs if output.output_type == "stream").rstrip()


def notes(notebook: NotebookNode) -> list[str]:
    """All else that it printed."""
    return [
        output.text.rstrip()
        for cell in notebook.cells
        if cell.cell_type == "code" and "accuracies" not in cell.metadata.get("tags", [])
        for output in cell.outputs
        if output.output_type == "stream"
    ]


def as_html(notebook: NotebookNode, title: str) -> str:
    """The notebook as a page that needs nothing but itself."""
    exporter = HTMLExporter(extra_loaders=[DictLoader({"offline": OFFLINE})], template_file="offline")
    html: str = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})[0]
    return html


def in_a_line(text: str) -> str:
    """What a text says first, up to its second paragraph."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return " ".join(paragraphs[:2])


def of_an_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt led to an error: a library that was in the middle of something may end in one of its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the cross-validation notebook and write it as HTML.")
    parser.add_argument("--output", type=Path, default=Path("demo-out"), help="folder for the page (default demo-out)")
    page = parser.parse_args().output.resolve() / "cross_validation.html"
    report = page.with_name("report.html")
    page.parent.mkdir(parents=True, exist_ok=True)

    started = time.perf_counter()
    print(f"Running notebooks/{NOTEBOOK.name} on a private cluster:")
    progress = Progress()
    try:
        notebook = run(NOTEBOOK, progress.on_bar, reporting(report), on_cell_start=progress.on_cell_start)
    finally:
        progress.close()
    print("", *notes(notebook), accuracies(notebook), "", sep="\n")
    notebook.cells = [cell for cell in notebook.cells if REPORTING not in cell.metadata.get("tags", [])]
    page.write_text(as_html(notebook, "Cross-validation with Rain"))
    print(f"The notebook with its final graph: {page}")
    print(f"The session as a report:           {report}")
    print(f"All that was started has ended, {time.perf_counter() - started:.1f} s after the start.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CellExecutionError as error:
        sys.exit(f"The notebook failed: {error.ename}: {in_a_line(error.evalue)}")
    except (DeadKernelError, OSError, TimeoutError) as error:
        sys.exit(f"The demo failed: {error}")
    except BaseException as error:
        if not of_an_interrupt(error):
            raise
        sys.exit("interrupted; the cluster has ended")
