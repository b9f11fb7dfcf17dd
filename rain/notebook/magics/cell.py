"""What ``%%rain_remote`` does with a cell."""

from __future__ import annotations

import ast
import asyncio
import contextvars
import inspect
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import CodeType
from typing import Any

from rain.client.handles import record_of
from rain.client.io_spec import Input, InputBase, InputDir, Output, OutputBase, OutputDir
from rain.client.remote import Remote
from rain.client.task import Task
from rain.common.errors import RainException
from rain.notebook.magics.cell_source import MAGIC, Cell, compile_body, functions_source, is_remote
from rain.notebook.magics.execution_namespace import ExecutionNamespace
from rain.notebook.magics.remote_line_parser import LOAD, Named, RemoteLine

_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def remote_cell(line: str, cell: str, names: dict[str, Any] | None = None) -> Any:
    """What ``%%rain_remote`` does, for plain Python.

    Parameters
    ----------
    line : str
        What stands on the line of the magic: options, perhaps a signature.
    cell : str
        The lines below.
    names : dict, optional
        The namespace in which the functions are defined; the notebook's if not given.

    Returns
    -------
    Remote or any
        The task that the cell is the body of, else the value of the cell's last expression.

    Raises
    ------
    SyntaxError
        If the signature or the cell cannot be parsed; with the line in the cell.
    RainException
        If an option is wrong; the text holds the usage.

    Examples
    --------
    >>> shout = remote_cell("shout(text: load) -> loud: text", "loud = text.upper()", {})
    >>> with client.new_session("shouting") as session:
    ...     session.run(shout(blob("hello")))
    'HELLO'
    """
    home = ExecutionNamespace(names)
    return run_cell(home.read(line, cell), home)


async def remote_cell_async(line: str, cell: str, names: dict[str, Any] | None = None) -> Any:
    """Awaitable `remote_cell`, for a cell with functions whose other statements await something.

    Parameters
    ----------
    line : str
        What stands on the line of the magic: options, perhaps a signature.
    cell : str
        The lines below.
    names : dict, optional
        The namespace in which the functions are defined; the notebook's if not given.

    Returns
    -------
    Remote or any
        As `remote_cell`.

    Raises
    ------
    SyntaxError
        If the signature or the cell cannot be parsed; with the line in the cell.
    RainException
        If an option is wrong; the text holds the usage.
    """
    home = ExecutionNamespace(names)
    return await run_cell_async(home.read(line, cell), home)


def run_cell(cell: Cell, home: ExecutionNamespace) -> Any:
    """Define what `cell` defines; see `remote_cell` for what is returned."""
    __tracebackhide__ = True
    if cell.line.name:
        return _define_body(cell, home)
    pieces = _compiled(cell, home)
    running = _run_functions(cell, pieces, home)
    return _in_loop(running, home) if any(map(_is_coroutine, pieces)) else _at_once(running)


async def run_cell_async(cell: Cell, home: ExecutionNamespace) -> Any:
    """Awaitable `run_cell`."""
    __tracebackhide__ = True
    if cell.line.name:
        return _define_body(cell, home)
    return await _run_functions(cell, _compiled(cell, home), home)


class Echoing(Remote):
    """A `Remote` of whose tasks is shown what they print."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Task:
        """Make a task; see `Remote`."""
        task = super().__call__(*args, **kwargs)
        session = task._session
        if session.client is not None:
            record_of(task).echo = True
            session._echoing(False)
        return task


def _finished(made: Remote, line: RemoteLine) -> Remote:
    """`made` with what the line says beyond a decorator."""
    if not line.echo:
        return made
    echoing = Echoing.__new__(Echoing)
    echoing.__dict__.update(made.__dict__)
    return echoing


# -- a body ------------------------------------------------------------------------------------------


def _define_body(cell: Cell, home: ExecutionNamespace) -> Remote:
    line = cell.line
    source, code = compile_body(cell, home.future)
    home.show_as(cell.filename, source)
    exec(code, home.globals, home.locals)
    made = Remote(
        home.locals[line.name],
        [_output(item) for item in line.outputs or ()],
        {item.name: _input(item) for item in line.parameters if item.type is not None},
        **_options(line),
    )
    made = home.locals[line.name] = _finished(made, line)
    _run_now([made], line, home)
    return made


def _input(item: Named) -> InputBase:
    if item.type == LOAD:
        return Input(load=True)
    return InputDir() if item.type == "dir" else Input(load=True, content_type=item.type)


def _output(item: Named) -> OutputBase:
    return OutputDir(item.name) if item.type == "dir" else Output(item.name, encode=item.type)


def _options(line: RemoteLine) -> dict[str, Any]:
    given = {"cpus": line.cpus, "name": line.path, "auto_encode": line.auto_encode}
    return {"auto_load": line.auto_load, **{name: value for name, value in given.items() if value is not None}}


# -- functions ---------------------------------------------------------------------------------------


async def _run_functions(cell: Cell, pieces: list[tuple[CodeType, str]], home: ExecutionNamespace) -> Any:
    """Run the statements in order, each function becoming a `Remote` as it is defined; the last expression's value."""
    __tracebackhide__ = "__ipython_bottom__"
    made = []
    value = None
    for code, name in pieces:
        value = eval(code, home.globals, home.locals)
        if code.co_flags & inspect.CO_COROUTINE:
            value = await value
        if name:
            made.append(_as_remote(home.locals[name], cell.line))
            home.locals[name] = made[-1]
    _run_now(made, cell.line, home)
    return value


def _as_remote(function: Any, line: RemoteLine) -> Remote:
    if isinstance(function, Remote):  # its decorator has said all
        return _finished(function, line)
    outputs = None if line.outputs is None else [_output(item) for item in line.outputs]
    return _finished(Remote(function, outputs, **_options(line)), line)


def _compiled(cell: Cell, home: ExecutionNamespace) -> list[tuple[CodeType, str]]:
    """The statements as pieces of code that end with a function or with the cell, and the function's name."""
    try:
        source = functions_source(cell, home.plain(cell.body))
        tree = compile(source, cell.filename, "exec", home.future | ast.PyCF_ONLY_AST, dont_inherit=True)
        assert isinstance(tree, ast.Module)
        if not any(is_remote(node) or getattr(node, "decorator_list", ()) for node in tree.body):
            raise RainException(
                f"{MAGIC}: no function of the cell has ctx as its first parameter. Write one, def name(ctx, ...):, or "
                f"give a signature to make the cell the body of a task: {MAGIC} name(text: load) -> result: json"
            )
        home.show_as(cell.filename, source)
        if home.shell is not None:
            tree = home.shell.transform_ast(tree)
        return [(_compile(home.compiler, node, cell.filename), name) for node, name in _pieces(tree.body)]
    except SyntaxError as error:
        raise _in_cell(cell, error) from None


def _pieces(statements: list[ast.stmt]) -> Iterator[tuple[ast.mod, str]]:
    waiting: list[ast.stmt] = []
    *most, last = statements
    for statement in most if isinstance(last, ast.Expr) else statements:
        waiting.append(statement)
        if is_remote(statement):
            yield ast.Module(waiting, []), getattr(statement, "name", "")
            waiting = []
    if waiting:
        yield ast.Module(waiting, []), ""
    if isinstance(last, ast.Expr):
        yield ast.Expression(last.value), ""


def _compile(compiler: Any, node: ast.mod, filename: str) -> CodeType:
    """`node` compiled as a cell is: with the ``__future__`` imports of earlier ones, and ``await`` allowed."""
    before = compiler.flags
    compiler.flags |= _AWAIT
    try:
        code: CodeType = compiler(node, filename, "eval" if isinstance(node, ast.Expression) else "exec")
    finally:
        compiler.flags &= ~(_AWAIT & ~before)
    return code


def _in_cell(cell: Cell, error: SyntaxError) -> SyntaxError:
    """`error` with the cell's own text and file; IPython's transformation has other names for them."""
    if error.lineno is not None:
        error.filename = cell.filename
        if 0 < error.lineno <= len(cell.lines):
            error.text = cell.lines[error.lineno - 1] + "\n"
    return error


def awaits(body: str) -> bool:
    """Whether statements of a cell with functions await something themselves."""
    try:
        code = compile(body, "<cell>", "exec", _AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return bool(code.co_flags & inspect.CO_COROUTINE)


def _is_coroutine(piece: tuple[CodeType, str]) -> bool:
    return bool(piece[0].co_flags & inspect.CO_COROUTINE)


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that does not wait for anything."""
    __tracebackhide__ = True
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("nothing in it awaits")


def _in_loop(coroutine: Coroutine[Any, Any, Any], home: ExecutionNamespace) -> Any:
    """The result of a coroutine, in code that cannot await it."""
    __tracebackhide__ = True
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine) if home.shell is None else home.shell.loop_runner(coroutine)
    with ThreadPoolExecutor(1) as pool:  # the loop of this thread goes on when we have returned
        return pool.submit(contextvars.copy_context().run, asyncio.run, coroutine).result()


# -- running at once -----------------------------------------------------------------------------------


def _run_now(made: list[Remote], line: RemoteLine, home: ExecutionNamespace) -> None:
    """What ``--run`` asks for: make the task, submit it, bind its outputs to their names."""
    if line.run is None:
        return
    if len(made) != 1:
        raise RainException(f"{MAGIC}: --run needs a cell with one function, this one has {len(made)}")
    (function,) = made
    arguments = {}
    for name, source in line.run.items():
        try:
            arguments[name] = eval(source, home.globals, home.locals)
        except Exception as error:
            error.add_note(f"This is what {MAGIC} --run gives for {name!r}: {source}")
            raise
    task = function(**arguments)
    labels = [label for label, _ in task.outputs.items()]
    for label in labels:
        if label is None or not label.isidentifier() or home.locals.get(label) is function:
            raise RainException(
                f"{MAGIC}: --run cannot bind output {label!r} to a variable"
                + (": that is the name of the function" if home.locals.get(label or "") is function else "")
            )
    task.keep_outputs()
    task._session.submit()
    for label, obj in task.outputs.items():
        home.locals[label] = obj
