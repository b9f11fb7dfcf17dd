"""What the configs of the task types that come with Rain look like.

The client writes them (`TaskSpec.config`), governor and executors read them with `read_config`; a wrong config is a
clear error there, because a peer may be anything.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from rain.common.errors import RainException
from rain.common.protocol.encoding import encode

PYTHON = "py/"
CONCAT = "builtin/concat"
SLEEP = "builtin/sleep"
LOAD = "builtin/load"
LOAD_DIR = "builtin/load_dir"
STORE = "builtin/store"
MAKE_DIRECTORY = "builtin/make_directory"
SLICE_DIRECTORY = "builtin/slice_directory"
EXECUTE = "builtin/execute"

COMPANION = "rain/companion"
"""What the members of a gang run, all but the first: it holds the resources, and starts programs that the first asks
for. No task of a user's can have this type."""

SLURM_JOB, SLURM_NODE = "RAIN_SLURM_JOB_ID", "RAIN_SLURM_NODE"
"""By these variables tasks know the job of Slurm in which their governor runs; the job's own are kept from them."""

VIEW = "rain/view"
"""What a governor has an executor do for `DataView`; no task of a user's can have this type."""

IN_GOVERNOR = frozenset({CONCAT, SLEEP, LOAD, LOAD_DIR, STORE, MAKE_DIRECTORY, SLICE_DIRECTORY})
"""Task types that a governor runs itself; `EXECUTE` and `PYTHON` run in executors."""


class Config(msgspec.Struct, array_like=True):
    """Base of all configs."""


class SourceText(Config):
    """Source of code that the executor's host may not have as a file (cells, ``<stdin>``), for tracebacks.

    `file_name` is the code's ``co_filename``; `shown` is how tracebacks name it (``"Cell In[3]"``), empty: as the file.
    """

    file_name: str
    text: str
    shown: str = ""


class PyConfig(Config):
    """Of `PYTHON` tasks.

    Attributes
    ----------
    args : bytes
        Pickled ``(args, kwargs)``; data objects inside are `rain.objects.pickling.placeholders.placeholder` calls.
    load : list of ID as [session, id], or True
        Inputs that arrive as loaded values (True: all).
    encode : list of (str or None)
        Per output how a returned value is encoded; empty means None for all.
    types : list of (session, id, str)
        Content types that the task declares for inputs which had none when they were submitted.
    sources : list of SourceText
        Of code among the arguments.
    read_only : list of ID as [session, id]
        Inputs that arrive as loaded values that cannot be written.
    stand_ins : list of (ID, ID) as ([session, id], [session, id])
        Objects that are named in the pickles of arguments and function, and the inputs that stand for them: of a task
        that was run again because those before it were.
    plain : bool
        Whether the function is called without the context, and its result is any value: stored as it is if it is text
        or bytes, else pickled, where `encode` says nothing.
    seed : int or None
        The session's, for `rain.rng`.
    """

    args: bytes
    load: list[tuple[int, int]] | bool = False
    encode: list[str | None] = []
    types: list[tuple[int, int, str]] = []
    sources: list[SourceText] = []
    read_only: list[tuple[int, int]] = []
    stand_ins: list[tuple[tuple[int, int], tuple[int, int]]] = []
    plain: bool = False
    seed: int | None = None


class UserModule(Config):
    """A module that is no installed package and that the function needs: what it was at the client.

    An executor that imported another version (judged by the file's `mtime_ns` and `size`) is replaced. `source` is
    given where executors on other hosts may need it; those on the client's host import from the file.
    """

    name: str
    path: str
    mtime_ns: int
    size: int
    source: bytes | None = None
    is_package: bool = False


class FunctionPayload(Config):
    """Value of the hidden constant object that holds a Python task's function (`TaskSpec.function`).

    It is sent once to each executor and unpickled once there. Its bytes are `encode_function(payload)`; the client keys
    them by digest, so whatever changes the function must change them.

    Attributes
    ----------
    code : bytes
        cloudpickle of the function (called as ``function(context, *args, **kwargs)``, without the context if the task's
        `PyConfig.plain`); data objects inside are
        `rain.objects.pickling.placeholders.placeholder` calls and are inputs of each task that uses the function.
    name : str
        Qualified name, for messages.
    sources : list of SourceText
    modules : list of UserModule
    """

    code: bytes
    name: str
    sources: list[SourceText] = []
    modules: list[UserModule] = []


encode_function = encode
"""`FunctionPayload` to bytes."""
decode_function = msgspec.msgpack.Decoder(FunctionPayload).decode
"""Bytes to `FunctionPayload`. Raises `msgspec.MsgspecError`."""


class SleepConfig(Config):
    seconds: float


class PathConfig(Config):
    """Of `LOAD`, `LOAD_DIR`, `STORE` (absolute path on the governor) and `SLICE_DIRECTORY` (path inside)."""

    path: str


class MakeDirectoryConfig(Config):
    """`paths[i]` is where input i goes."""

    paths: list[str]


class MappedInput(Config):
    """Input number `index` appears at `path` in the program's directory; `write` asks for a private writable copy."""

    path: str
    index: int
    write: bool = False


class MappedOutput(Config):
    """What lies at `path` when the program has ended becomes output number `index`."""

    path: str
    index: int


class ExecuteConfig(Config):
    """Of `EXECUTE`: one program. Objects among the arguments were already replaced by their paths.

    `stdin` is an input's number, `stdout` and `stderr` are outputs' numbers. With `shell`, `args` is one string for
    ``/bin/sh -c``.
    """

    args: list[str]
    shell: bool = False
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    inputs: list[MappedInput] = []
    outputs: list[MappedOutput] = []
    exit_codes: list[int] = msgspec.field(default_factory=lambda: [0])


class ViewConfig(Config):
    """Of `VIEW`: as of `rain.common.protocol.messages.DataView`."""

    what: str
    asked: bytes
    path: bytes | None = None


C = TypeVar("C", bound=Config)


def read_config(config: Any, kind: type[C]) -> C:
    """`config` as it came over the wire, as a `kind`.

    Raises
    ------
    RainException
        If it is not one.
    """
    if isinstance(config, kind):
        return config
    try:
        return msgspec.convert(config, kind)
    except msgspec.ValidationError as error:
        raise RainException(f"the task's config is not a {kind.__name__}: {error}") from None
