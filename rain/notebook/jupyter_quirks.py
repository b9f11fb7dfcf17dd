"""All that is done against the grain of Jupyter, IPython and anywidget: what it is, why, and since which version.

What these libraries document is used where it is needed; only what is not documented, or works round a fault, is here
(for the browser: ``frontend/src/jupyter-quirks.ts``). Tried with ipykernel 7.1 to 7.4, IPython 8.18 to 9, ipywidgets
8.1, anywidget 0.9 to 0.11.
"""

from __future__ import annotations
import __future__

import re
import sys
from concurrent.futures import thread as pools
from threading import Thread
from typing import Any

ANY_VERSION = "*"
"""The version of anywidget's module that our widgets ask for in the browser. By default (0.9 to 0.11) it is the minor
version that the kernel has, which a Jupyter server with an older or newer anywidget refuses to load."""


def answer_on_the_named_subshell(comm: Any) -> None:
    """Have messages of a comm come to the subshell that the front end named.

    ipykernel 7.4 routes them to the thread of the cell that last sent something on the comm. While that cell runs,
    nothing that the browser asks would be answered.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default


def is_headless(kernel: Any) -> bool:
    """Whether a program such as nbconvert asked for the newest cell: it could not answer a question.

    ipykernel keeps this field of the last ``execute_request`` to itself (``_allow_stdin``).
    """
    return not getattr(kernel, "_allow_stdin", True)


def current_shell() -> Any:
    """The IPython shell that we are in, if there is one; IPython is not imported for that."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get_ipython is None else get_ipython()


def shell_with_kernel() -> Any:
    """The IPython shell if it belongs to a Jupyter kernel, else None."""
    shell = current_shell()
    return shell if shell is not None and hasattr(shell, "kernel") else None


def knows_cell_of_context(kernel: Any) -> bool:
    """Whether the kernel knows from the context of this thread which cell it belongs to.

    ipykernel 7 keeps that in a context variable (``_shell_parent``); of a thread that began without a context it only
    knows the newest cell.
    """
    context = getattr(kernel, "_shell_parent", None)
    return context is None or context.get(None) is not None


def is_pool_thread(thread: Thread) -> bool:
    """Whether a thread works for a `concurrent.futures` pool: it may be older than what it works for.

    CPython 3.11 to 3.14 keeps them in a table of its own.
    """
    return thread in getattr(pools, "_threads_queues", {})


def send_stream(kernel: Any, header: Any, name: str, text: str) -> None:
    """Send text as output of the cell whose request had this header, though another cell may run.

    ipykernel's own streams only write for the cell that runs.
    """
    kernel.session.send(
        kernel.iopub_socket,
        "stream",
        {"name": name, "text": text},
        parent={"header": header},
        ident=f"stream.{name}".encode(),  # the topic
    )


def schedule_on_io_thread(kernel: Any, seconds: float, call: Any) -> None:
    """Have the kernel's IO thread call something in so many seconds; any thread may ask."""
    thread = kernel.iopub_thread
    thread.schedule(lambda: thread.io_loop.call_later(seconds, call))


_CALLED = re.compile(
    r"(await )?get_ipython\(\)\.(run_cell_magic\('rain_remote'|magics_manager\.registry\['RainMagics'\]\.run_remote)"
)


def is_call_of_remote_cell(source: str) -> bool:
    """Whether a cell as IPython transformed it begins with our magic: IPython writes cell magics as such calls."""
    return _CALLED.match(source.lstrip()) is not None


def running_cell(shell: Any) -> tuple[str, int]:
    """The file name of the cell that is being run, and its number; IPython only tells the newest number."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        shown = shell.compile.format_code_name(frame.f_code.co_filename)
        if shown is not None:
            digits = re.search(r"\d+", shown[1])
            return frame.f_code.co_filename, int(digits[0]) if digits else shell.execution_count
    return "", shell.execution_count


def file_of_cell(shell: Any, text: str, number: int) -> str:
    """The file name under which a text is known as the cell of that number, as IPython itself makes them."""
    return str(shell.compile.cache(text, number, raw_code=text))


def future_flags(compiler: Any) -> int:
    """Those flags of a compiler that come from ``__future__`` imports of earlier cells; IPython has more set."""
    known = 0
    for name in __future__.all_feature_names:
        known |= getattr(__future__, name).compiler_flag
    return int(compiler.flags) & known


def put_first(shell: Any, transform: Any) -> None:
    """Have a transform see the lines of a cell before IPython's own, which drop the empty lines above a cell."""
    shell.input_transformer_manager.cleanup_transforms.insert(0, transform)
