"""Runs the example notebooks from their first cell in kernels of their own, and writes down what they show.

``make notebooks`` renews the outputs in `notebooks/`; `run` is also what ``make demo`` uses. What is written reads
well without a kernel: pictures and text, no widgets, and nothing that only this run had (times of execution, ports).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import light_imports as light_imports

# isort: split
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
CELL_S_MAX = 120
AT_ONCE = 2
"""So many notebooks are run at a time."""

WIDGET = "application/vnd.jupyter.widget-view+json"
_BAR = re.compile(r"\d+%\|")
_PORT = re.compile(r"\b127\.0\.0\.1:\d+")


class Runner(NotebookClient):
    """Runs a notebook, and tells how far the progress bars in it are.

    Parameters
    ----------
    notebook : NotebookNode
    folder : Path
        Where its kernel runs.
    on_bar : callable, optional
        Called with a number for each bar, and what is done and the total of it.
    """

    def __init__(
        self, notebook: NotebookNode, folder: Path, on_bar: Callable[[str, float, float], None] | None = None
    ) -> None:
        super().__init__(
            notebook,
            kernel_name="python3",
            timeout=CELL_S_MAX,
            store_widget_state=False,
            coalesce_streams=True,
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        )
        self._on_bar = on_bar
        self._bars: dict[str, dict[str, Any]] = {}

    async def _async_poll_kernel_alive(self) -> None:
        """As it is; but what it misses, because a signal ended the kernel, is no news that asyncio has to tell."""
        try:
            await super()._async_poll_kernel_alive()
        except AssertionError:
            if not self.signalled:
                raise

    @property
    def signalled(self) -> bool:
        """Whether nbclient ends the kernel, or has ended it, because of a signal."""
        return hasattr(self, "_async_cleanup_kernel_future")

    def handle_comm_msg(self, outs: list[NotebookNode], msg: dict[str, Any], cell_index: int) -> None:
        """See how far a bar is; in a kernel tqdm's are widgets."""
        super().handle_comm_msg(outs, msg, cell_index)
        content = msg["content"]
        number, state = content["comm_id"], content["data"].get("state", {})
        if state.get("_model_name") == "FloatProgressModel":
            self._bars[number] = {"value": 0.0, "max": 0.0}
        if number in self._bars and self._on_bar is not None:
            bar = self._bars[number]
            bar.update({name: state[name] for name in bar if name in state})
            self._on_bar(number, bar["value"], bar["max"])


def run(
    path: Path,
    on_bar: Callable[[str, float, float], None] | None = None,
    change: Callable[[NotebookNode], None] | None = None,
    **hooks: Any,
) -> NotebookNode:
    """The notebook in the file `path`, executed and cleaned; the file stays as it is.

    Parameters
    ----------
    path : Path
    on_bar : callable, optional
        See `Runner`.
    change : callable, optional
        Called with the notebook before it is run.
    **hooks
        Those of `NotebookClient`, such as ``on_cell_start``.

    Raises
    ------
    CellExecutionError
        If a cell fails that is not tagged ``raises-exception``.
    KeyboardInterrupt
        The kernel, and what it started, is then gone.
    """
    notebook = nbformat.read(path, as_version=4)
    if change is not None:
        change(notebook)
    runner = Runner(notebook, path.parent, on_bar)
    for name, hook in hooks.items():
        setattr(runner, name, hook)
    try:
        runner.execute(stderr=subprocess.DEVNULL)  # the kernel's own; cells' goes into their outputs
    except (AssertionError, RuntimeError):  # at a signal nbclient ends the kernel, and then misses it
        if runner.signalled:
            raise KeyboardInterrupt from None
        raise
    clean(notebook)
    return notebook


def clean(notebook: NotebookNode) -> None:
    """Leave only what reads well, and is the same whenever the notebook does the same."""
    for cell in notebook.cells:
        cell.metadata = NotebookNode({"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {})
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_cleaned, cell.outputs) if output is not None]
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    nbformat.validate(notebook)


def _cleaned(output: NotebookNode) -> NotebookNode | None:
    if output.output_type == "stream":
        output.text = _PORT.sub("127.0.0.1:7210", output.text)
    if "data" not in output:
        return output
    if output.data.pop(WIDGET, None) is not None and _BAR.search(output.data.get("text/plain", "")):
        return None  # a progress bar says nothing when all is done
    for mime, text in output.data.items():
        if isinstance(text, str):
            output.data[mime] = _PORT.sub("127.0.0.1:7210", text)
    return output if output.data else None


def renew(path: Path) -> str | None:
    """Run a notebook and write its outputs into its file; what went wrong, if anything did."""
    try:
        nbformat.write(run(path), path)
    except CellExecutionError as error:
        return f"{path.name}: {error.ename}: {error.evalue}\n{error.traceback}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description="Run notebooks and renew the outputs in their files.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all in notebooks/ that need no batch system")
    paths = parser.parse_args().notebooks or sorted(set(FOLDER.glob("*.ipynb")) - set(FOLDER.glob("*cluster*")))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        failed = 0
        for path, error in zip(paths, pool.map(renew, paths), strict=True):
            print(error or f"{path.name}: {path.stat().st_size / 1000:.0f} KB")
            failed += error is not None
    return failed


if __name__ == "__main__":
    sys.exit(main())
