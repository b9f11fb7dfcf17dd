"""The magics as IPython knows them. Their docstrings are their help."""

from __future__ import annotations

import argparse
import functools
import shlex
from collections.abc import Callable
from typing import Any, NoReturn

from IPython.core.displayhook import DisplayHook
from IPython.core.magic import (
    Magics,
    cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from rain.client.active_session import get_active_session
from rain.common.errors import RainException
from rain.common.jupyter.tracebacks import shorten
from rain.deploy.pools.words import parse_places
from rain.notebook.magics import api
from rain.notebook.magics.cell import run_cell, run_cell_async
from rain.notebook.magics.cell_source import Cell
from rain.notebook.magics.execution_namespace import ExecutionNamespace

NAMES = (
    "rain_connect", "rain_submit", "rain_wait", "rain_fetch", "rain_graph", "rain_tasks", "rain_status", "rain_inspect",
)  # fmt: skip
"""Line magics."""


class _Parser(argparse.ArgumentParser):
    """Tells what is wrong by a `RainException`, in plain text."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.color = False  # Python 3.14 puts colours into usages, in a kernel always

    def error(self, message: str) -> NoReturn:
        raise RainException(f"{self.prog}: {message}\n{self.format_usage().strip()}")


def _briefly(magic: Callable[..., Any]) -> Callable[..., Any]:
    """`magic`, whose own complaints come without the frames in which it found out."""

    @functools.wraps(magic)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            return magic(*args, **kwargs)
        except SyntaxError as error:
            raise error.with_traceback(None) from error.__cause__
        except Exception as error:
            shorten(error)
            raise

    return call


def _parser(name: str, usage: str) -> _Parser:
    return _Parser(name, usage=f"%(prog)s {usage}", add_help=False, allow_abbrev=False)


CONNECT = _parser(
    "%rain_connect", "[HOST[:PORT]] [--local N] [--on ENGINE [OPTION VALUE ...]] [--session NAME] [-- ENGINE'S OWN ...]"
)
CONNECT.add_argument("address", metavar="HOST[:PORT]", nargs="?")
CONNECT.add_argument("--local", metavar="N", nargs="?", type=int, const=True, default=False)
CONNECT.add_argument("--session", metavar="NAME")
TASKS = _parser("%rain_tasks", "[--limit N]")
TASKS.add_argument("--limit", metavar="N", type=int, default=40)


def _words(parser: _Parser, line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        parser.error(str(error))


def _parsed(parser: _Parser, line: str) -> argparse.Namespace:
    return parser.parse_args(_words(parser, line))


def _places(words: list[str]) -> tuple[str | None, tuple[str, dict[str, Any]]] | None:
    """The name of the session, the engine and the options of `Client.on`, if a line asks for places."""
    end = words.index("--") if "--" in words else len(words)
    at = next((at for at, word in enumerate(words[:end]) if word.partition("=")[0] == "--on"), None)
    if at is None:
        return None
    _, equals, engine = words[at].partition("=")
    if not equals and at + 1 >= end:
        CONNECT.error("--on needs the name of an engine, such as slurm")
    rest = words[:at] + words[at + 1 if equals else at + 2 :]
    try:
        asked = parse_places(engine or words[at + 1], rest, api.ON)
    except RainException as error:
        CONNECT.error(str(error))
    session = asked.others.pop("session", None)
    return session, (asked.engine, {**asked.options, **asked.others})


def _no_arguments(name: str, line: str) -> None:
    if line.strip():
        raise RainException(f"%{name} takes no arguments, but got {line.strip()!r}\nusage: %{name}")


def _one_argument(name: str, what: str, line: str) -> str:
    if not line.strip():
        raise RainException(f"%{name} needs an argument\nusage: %{name} {what}")
    return line.strip()


@magics_class
class RainMagics(Magics):
    """What ``%load_ext rain.notebook`` adds."""

    @line_magic
    @_briefly
    def rain_connect(self, line: str) -> None:
        """Connect to a server or start a private cluster, and open a default session.

        ::

            %rain_connect [HOST[:PORT]] [--local N] [--session NAME]
            %rain_connect --on ENGINE [--nodes N] [OPTION VALUE ...] [--session NAME] [-- ENGINE'S OWN ...]

        HOST[:PORT]
            A running server. With neither this nor ``--local`` it is the one that you started on this machine, or a
            private cluster if there is none.
        --local N
            Start a private cluster with N cpus (without N: all of this machine's). It ends with the kernel.
        --on ENGINE
            Start a private server, and ask an engine (``slurm``) for places with a governor in each. They are shown
            while they come, and end with the kernel. Options are those of ``Client.on``: ``--nodes 4``, ``--cpus 16``,
            ``--time 2:00:00``, ``--partition main``, ``--wait 2`` (how many to wait for), ``--timeout 600`` (seconds).
            What follows ``--`` the engine gets verbatim: ``-- --account=abc``.
        --session NAME
            Name of the session. A persistent session of that name at the server is gone on with.

        Tasks and data objects go to this session when no ``with session:`` is open;
        ``rain.get_active_session()`` gives it. Connecting again closes what this magic opened before.

        In plain Python: ``rain.notebook.magics.connect("host:7210", session="words")``.
        """
        words = _words(CONNECT, line)
        asked = _places(words)
        if asked is None:
            options = CONNECT.parse_args(words)
            _, text = api.open_session(options.address, options.local, options.session)
        else:
            _, text = api.open_session(None, False, *asked)
        print(text)  # noqa: T201

    @no_var_expand
    @cell_magic
    @_briefly
    def rain_remote(self, line: str, cell: str) -> Any:
        """Define remote tasks from this cell.

        ::

            %%rain_remote [OPTIONS]
            def count(ctx, text):
                ...

        Every function at the top level of the cell whose first parameter is ``ctx`` (or annotated ``Context``) becomes
        a ``rain.Remote``, as by ``@remote()``: calling it makes a task. All else (imports, constants, other functions)
        is run here, and goes along with the functions that use it. ::

            %%rain_remote [OPTIONS] NAME(PARAMETER: TYPE, ...) -> OUTPUT: TYPE, ...
            BODY

        With a signature the cell is the body of one task. Parameters are its inputs: with ``: load``, or a content
        type, they arrive as loaded values, otherwise as what they are (data objects as data instances). Outputs are
        variables of the body, taken at its end, each encoded by its content type (bytes and str need none).
        ``ctx`` is there, and ``await`` is allowed.

        --cpus N
            Cpus that each task needs.
        --outputs A,B
            Labels of the outputs, where neither a signature nor a return annotation names them; ``A:TYPE`` also says
            how to encode.
        --name PATH
            Name of the tasks, perhaps a path such as ``train/fold``.
        --auto-load
            Data objects arrive as loaded values.
        --auto-encode TYPE
            Content type by which outputs are encoded that have no other.
        --echo
            What the tasks print also appears in the cell that makes them (sets ``session.echo``).
        --run ARG=OBJ ...
            Also make the task, from expressions of the notebook, submit it and bind its outputs to their names.

        Example::

            %%rain_remote --cpus 2 count_words(text: load) -> counts: json
            counts = {word: text.split().count(word) for word in set(text.split())}

        In plain Python: ``rain.notebook.magics.remote_cell(line, cell, globals())``, or ``@rain.remote``.
        """
        __tracebackhide__ = True
        return self.run_remote(line, cell)

    def run_remote(self, line: str, cell: str, skipped: int = 0) -> Any:
        """Run a cell of ``%%rain_remote`` with `skipped` empty lines above it, and give what is to be displayed."""
        __tracebackhide__ = True
        home = ExecutionNamespace(shell=self.shell)
        read = home.read(line, cell, skipped)
        return _displayed(read, run_cell(read, home))

    async def run_remote_async(self, line: str, cell: str, skipped: int = 0) -> Any:
        """Awaitable `run_remote`."""
        __tracebackhide__ = True
        home = ExecutionNamespace(shell=self.shell)
        read = home.read(line, cell, skipped)
        return _displayed(read, await run_cell_async(read, home))

    def _names(self, local: dict[str, Any] | None) -> dict[str, Any]:
        """The variables of the notebook, and over them `local` ones."""
        shell: Any = self.shell
        return {**shell.user_global_ns, **shell.user_ns, **(local or {})}

    @line_magic
    @_briefly
    def rain_submit(self, line: str) -> None:
        """Submit what is new in the active session.

        In plain Python: ``session.submit()``, or ``rain.notebook.magics.submit()``.
        """
        _no_arguments("rain_submit", line)
        tasks, objects = api.submit()
        name = get_active_session().name
        if not tasks and not objects:
            print(f"Nothing new to submit in session {name!r}.")  # noqa: T201
        else:
            print(f"Submitted {_count(tasks, 'task')} and {_count(objects, 'data object')} in session {name!r}.")  # noqa: T201

    @line_magic
    @_briefly
    def rain_wait(self, line: str) -> None:
        """Wait for all that was submitted in the active session; a progress bar appears if that takes a moment.

        A failed task raises its ``TaskException`` at once; all else goes on.

        In plain Python: ``session.wait_all(progress=True)``, or ``rain.notebook.magics.wait()``.
        """
        _no_arguments("rain_wait", line)
        api.wait()

    @needs_local_scope
    @line_magic
    @_briefly
    def rain_fetch(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        """Wait for the data of a task or data object, and give access to it.

        ::

            %rain_fetch NAME
            counts = %rain_fetch NAME

        NAME is a variable or expression of the notebook, or the name of a task or label of an object in the active
        session. The object must be kept. The result is a ``DataInstance`` (a list for a task with several outputs):
        ``.load()``, ``.get_bytes()``, ``.write(path)``.

        In plain Python: ``obj.fetch()``, or ``rain.notebook.magics.fetch("NAME")``.
        """
        return api.fetch(_one_argument("rain_fetch", "NAME", line), self._names(local_ns))

    @line_magic
    @_briefly
    def rain_graph(self, line: str) -> None:
        """Show the active session as a live graph.

        In plain Python: ``session`` as the last expression of a cell, or ``rain.notebook.magics.graph()``.
        """
        _no_arguments("rain_graph", line)
        api.graph()

    @line_magic
    @_briefly
    def rain_tasks(self, line: str) -> None:
        """Print the tasks of the active session as a table, with counts by state.

        ::

            %rain_tasks [--limit N]

        --limit N
            Of more than N tasks (40) show N: those first that failed, then those that run or wait.

        In plain Python: ``print(rain.notebook.magics.tasks())``.
        """
        print(api.tasks(_parsed(TASKS, line).limit))  # noqa: T201

    @line_magic
    @_briefly
    def rain_status(self, line: str) -> None:
        """Show the server: address, governors and their load, sessions.

        In plain Python: ``client`` as the last expression of a cell, or ``rain.notebook.magics.status()``.
        """
        _no_arguments("rain_status", line)
        api.status()

    @no_var_expand
    @needs_local_scope
    @line_magic
    @_briefly
    def rain_inspect(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """Look into data, page by page, without moving more than is shown.

        ::

            %rain_inspect EXPR

        EXPR is a data instance, a data object or a task with one output, or the name of one in the active session.

        In plain Python: the data instance as the last expression of a cell, or ``rain.notebook.magics.inspect(item)``.
        """
        api.inspect(_one_argument("rain_inspect", "EXPR", line), self._names(local_ns))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _displayed(cell: Cell, value: Any) -> Any:
    """What a cell displays: nothing if it is a body, or ends with a semicolon."""
    ends_quietly: Any = DisplayHook.semicolon_at_end_of_expression
    return None if cell.line.name or ends_quietly(cell.body) else value
