"""Tasks that governors run themselves, and `Execute`; offered to users as `rain.client.tasks`.

Paths are judged when a task runs, on the governor. All take the options of every task as keywords, or by
``Concat.options(...)``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rain.client.building.given import as_input
from rain.client.building.options import merged_options
from rain.client.handles import as_object
from rain.client.io_spec import InputBase, Output, OutputBase, OutputDir
from rain.client.program import Plan
from rain.client.task import Task
from rain.common import task_configs
from rain.common.errors import RainException
from rain.common.formatting import is_unicode
from rain.common.states import DataType

if TYPE_CHECKING:
    from rain.client.data import DataObject

__all__ = ["Concat", "Execute", "Load", "LoadDir", "MakeDirectory", "Sleep", "SliceDirectory", "Store"]


class Concat(Task):
    """The bytes of blobs one after the other; of none an empty blob.

    Parameters
    ----------
    inputs : sequence of blobs
        Each may be a pair of label and blob.
    output : Output or str, optional
        The output, or its label.
    **options
        Options of every task: see `Task`.

    Raises
    ------
    RainException
        If an input, a path or an option is not what it should be, or no session is active.

    Examples
    --------
    >>> with client.new_session("concat") as session:
    ...     session.run(tasks.Concat([blob("Hello "), blob("world!")]))
    b'Hello world!'
    """

    __slots__ = ()
    TASK_TYPE = task_configs.CONCAT

    def __init__(self, inputs: Iterable[Any] = (), *, output: OutputBase | str | None = None, **options: Any) -> None:
        if isinstance(inputs, Mapping) or not isinstance(inputs, Iterable):
            raise RainException(f"Concat takes a list of blobs, not {type(inputs).__name__}")
        listed = [as_input(item, f"input {index} of Concat") for index, item in enumerate(_no_text(inputs, "Concat"))]
        for _, obj in listed:
            _check_kind(obj, DataType.BLOB, "Concat")
        self._build(
            task_configs.CONCAT,
            None,
            listed,
            [_one(output, Output("output"))],
            merged_options(options, "Concat", Concat),
        )


class Sleep(Task):
    """Passes its input (blob or directory) through after a time.

    Parameters
    ----------
    input : data object
    timeout : float
        Seconds.
    output : Output or str, optional
        The output, or its label.
    **options
        Options of every task: see `Task`; the option `timeout` is given by ``Sleep.options(timeout=...)``.

    Raises
    ------
    RainException
        If an input, a path or an option is not what it should be, or no session is active.

    Examples
    --------
    >>> with client.new_session("sleep") as session:
    ...     session.run(tasks.Sleep(blob("later"), 0.01))
    'later'
    """

    __slots__ = ()
    TASK_TYPE = task_configs.SLEEP

    def __init__(self, input: Any, timeout: float, *, output: Any = None, **options: Any) -> None:
        label, obj = as_input(input, "the input of Sleep")
        good = isinstance(timeout, int | float) and not isinstance(timeout, bool)
        if not good or not 0 <= timeout <= sys.float_info.max:
            raise RainException(f"Sleep takes a number of seconds that is not negative, not {timeout!r}")
        if obj.data_type is DataType.DIRECTORY:
            made = _one(output, OutputDir("output"))
        else:
            made = _one(output, Output("output", content_type=obj.content_type))
        config = task_configs.SleepConfig(float(timeout))
        self._build(task_configs.SLEEP, config, [(label, obj)], [made], merged_options(options, "Sleep", Sleep))


class Load(Task):
    """A file of the governor as a blob.

    Parameters
    ----------
    path : str or os.PathLike
        Absolute, on the governor that runs the task.
    output : Output or str, optional
        The output, or its label.
    **options
        Options of every task: see `Task`.

    Raises
    ------
    RainException
        If an input, a path or an option is not what it should be, or no session is active.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with client.new_session("load") as session, tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "a.txt").write_text("alpha")
    ...     session.run(tasks.Load(f"{folder}/a.txt"))
    b'alpha'
    """

    __slots__ = ()
    TASK_TYPE = task_configs.LOAD

    def __init__(self, path: str | os.PathLike[str], output: OutputBase | str | None = None, **options: Any) -> None:
        config = task_configs.PathConfig(_path(path, "Load"))
        self._build(
            task_configs.LOAD, config, (), [_one(output, Output("output"))], merged_options(options, "Load", Load)
        )


class LoadDir(Task):
    """A directory of the governor as a directory object.

    Parameters
    ----------
    path : str or os.PathLike
        Absolute, on the governor that runs the task.
    output : OutputDir or str, optional
        The output, or its label.
    **options
        Options of every task: see `Task`.

    Raises
    ------
    RainException
        If an input, a path or an option is not what it should be, or no session is active.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with client.new_session("load") as session, tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "a.txt").write_text("alpha")
    ...     session.run(tasks.SliceDirectory(tasks.LoadDir(folder), "a.txt"))
    b'alpha'
    """

    __slots__ = ()
    TASK_TYPE = task_configs.LOAD_DIR

    def __init__(self, path: str | os.PathLike[str], output: OutputBase | str | None = None, **options: Any) -> None:
        config = task_configs.PathConfig(_path(path, "LoadDir"))
        made = _one(output, OutputDir("output"))
        self._build(task_configs.LOAD_DIR, config, (), [made], merged_options(options, "LoadDir", LoadDir))


class Store(Task):
    """Writes a blob or directory to a path of the governor, all of it or nothing.

    Parameters
    ----------
    input : data object
    path : str or os.PathLike
        Absolute, on the governor that runs the task.
    **options
        Options of every task: see `Task`.

    Raises
    ------
    RainException
        If an input, a path or an option is not what it should be, or no session is active.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with client.new_session("store") as session, tempfile.TemporaryDirectory() as folder:
    ...     session.run(tasks.Store(blob("alpha"), f"{folder}/a.txt"))
    ...     pathlib.Path(folder, "a.txt").read_text()
    'alpha'
    """

    __slots__ = ()
    TASK_TYPE = task_configs.STORE

    def __init__(self, input: Any, path: str | os.PathLike[str], **options: Any) -> None:
        config = task_configs.PathConfig(_path(path, "Store"))
        given = [as_input(input, "the input of Store")]
        self._build(task_configs.STORE, config, given, (), merged_options(options, "Store", Store))


class MakeDirectory(Task):
    """A directory made of blobs and directories.

    Parameters
    ----------
    paths_objects : dict or sequence of pairs
        Relative path -> data object. Later entries win; ``""`` and ``"."`` are the directory itself.
    output : OutputDir or str, optional
        The output, or its label.
    **options
        Options of every task: see `Task`.

    Raises
    ------
    RainException
        If an input, a path or an option is not what it should be, or no session is active.

    Examples
    --------
    >>> with client.new_session("folders") as session:
    ...     folder = tasks.MakeDirectory({"a/b.txt": blob("beta")})
    ...     session.run(tasks.SliceDirectory(folder, "a/b.txt"))
    b'beta'
    """

    __slots__ = ()
    TASK_TYPE = task_configs.MAKE_DIRECTORY

    def __init__(
        self,
        paths_objects: Mapping[Any, Any] | Iterable[tuple[Any, Any]],
        output: OutputBase | str | None = None,
        **options: Any,
    ) -> None:
        pairs = paths_objects.items() if isinstance(paths_objects, Mapping) else paths_objects
        paths, objects = [], []
        try:
            for path, obj in pairs:
                paths.append(_path(path, "MakeDirectory"))
                objects.append((None, as_object(obj, f"{paths[-1]!r} of MakeDirectory")))
        except (TypeError, ValueError):
            raise RainException("MakeDirectory takes a dict, or pairs, of relative path and data object") from None
        config = task_configs.MakeDirectoryConfig(paths)
        made = _one(output, OutputDir("output"))
        self._build(
            task_configs.MAKE_DIRECTORY,
            config,
            objects,
            [made],
            merged_options(options, "MakeDirectory", MakeDirectory),
        )


class SliceDirectory(Task):
    """A file, or a directory, inside a directory.

    Parameters
    ----------
    input : directory object
    path : str or os.PathLike
        Relative; a trailing ``/`` asks for a directory.
    output : Output, OutputDir or str, optional
        The output, or its label.
    **options
        Options of every task: see `Task`.

    Raises
    ------
    RainException
        If an input, a path or an option is not what it should be, or no session is active.

    Examples
    --------
    >>> with client.new_session("folders") as session:
    ...     folder = tasks.MakeDirectory({"a/b.txt": blob("beta")})
    ...     session.run(tasks.SliceDirectory(folder, "a/b.txt"))
    b'beta'
    """

    __slots__ = ()
    TASK_TYPE = task_configs.SLICE_DIRECTORY

    def __init__(
        self, input: Any, path: str | os.PathLike[str], output: OutputBase | str | None = None, **options: Any
    ) -> None:
        label, obj = as_input(input, "the input of SliceDirectory")
        _check_kind(obj, DataType.DIRECTORY, "SliceDirectory")
        text = _path(path, "SliceDirectory")
        if not text.endswith("/") and isinstance(output, OutputDir):
            text += "/"
        made = _one(output, OutputDir("output") if text.endswith("/") else Output("output"))
        config = task_configs.PathConfig(text)
        self._build(
            task_configs.SLICE_DIRECTORY,
            config,
            [(label, obj)],
            [made],
            merged_options(options, "SliceDirectory", SliceDirectory),
        )


class Execute(Task):
    """Runs one program in a fresh working directory.

    Parameters
    ----------
    args : str, or sequence of str, data objects, Input, Output
        A str is split like a shell does. An object is mapped to a file and replaced by the file's name, an Output by
        the path whose file becomes the output.
    stdout, stderr : True, str or Output, optional
        Make what is written there an output.
    stdin : data object or Input, optional
    input_paths : sequence of Input or InputDir
        Mapped without touching the arguments.
    output_paths : sequence of str, Output or OutputDir
        What lies there in the end becomes outputs.
    shell : bool
        Whether ``/bin/sh -c`` runs it: a str as it is, a sequence joined by spaces.
    exit_codes : int or sequence of int
        Those that mean success.
    output : Output or str, optional
        To be merged with the only output.
    outputs : sequence of (Output, str or None), optional
        To be merged with the outputs, one by one.
    **options
        Options of every task: see `Task`.

    Raises
    ------
    RainException
        If an argument, a path or an option is not what it should be, or no session is active.

    Examples
    --------
    >>> with client.new_session("programs") as session:
    ...     session.run(Execute(["sort", blob("b\\na\\n")], stdout=True))
    b'a\\nb\\n'
    """

    __slots__ = ()
    TASK_TYPE = task_configs.EXECUTE

    def __init__(
        self,
        args: str | Sequence[Any],
        stdout: bool | str | OutputBase | None = None,
        stdin: Any = None,
        input_paths: Iterable[InputBase] = (),
        output_paths: Iterable[str | OutputBase] = (),
        shell: bool = False,
        *,
        stderr: bool | str | OutputBase | None = None,
        exit_codes: Iterable[int] | int = (0,),
        output: OutputBase | str | None = None,
        outputs: Any = None,
        **options: Any,
    ) -> None:
        plan = Plan("Execute", args, stdout, stdin, input_paths, output_paths, shell, stderr, exit_codes)
        unbound = plan.unbound
        if unbound:
            raise RainException(f"Execute: {unbound[0]!r} has no dataobj= (placeholders are for Program)")
        plan.build(self, {}, output, outputs, merged_options(options, "Execute", Execute))


def _path(path: Any, owner: str) -> str:
    try:
        text = os.fspath(path)
    except TypeError:
        raise RainException(f"{owner}: a path is a str or os.PathLike, not {type(path).__name__}") from None
    if not isinstance(text, str) or "\0" in text or not is_unicode(text):
        raise RainException(f"{owner}: {text!r} is not a path")
    return text


def _one(given: Any, prototype: OutputBase) -> OutputBase:
    return prototype.merge(given)


def _no_text(inputs: Iterable[Any], owner: str) -> Iterable[Any]:
    if isinstance(inputs, str | bytes):
        raise RainException(f"{owner} takes a list of blobs, not {type(inputs).__name__}; use [blob(...)]")
    return inputs


def _check_kind(obj: DataObject, kind: DataType, owner: str) -> None:
    if obj.data_type is not kind:
        names = {DataType.BLOB: "blobs", DataType.DIRECTORY: "a directory"}
        raise RainException(f"{owner} takes {names[kind]}, but {obj!r} is a {obj.data_type.name.lower()}")
