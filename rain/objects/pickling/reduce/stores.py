"""Arrays of zarr and tensorstore whose chunks lie in a folder: their pickles name the folder and hold no data.

Both libraries read chunks that are missing as the fill value. A pickle that is loaded where the folder is not would so
become an array of zeros, without an error (zarr 3.1.6, tensorstore 0.1.86; also behind xarray's ``open_zarr``). Here
the pickle looks for the folder when it is loaded, and what is known to be left behind is refused when it is pickled:
memory of this process, and folders that end with a task.
"""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rain.common.errors import RainException
from rain.objects.pickling.reduce import Call, Reducer

_ending: str | None = None


def ends_with_task(folder: str) -> None:
    """Say that what lies below `folder` is removed with the tasks of this process.

    Parameters
    ----------
    folder : str
        An absolute path.
    """
    global _ending
    _ending = os.path.realpath(folder)


def reducer_of(kind: type) -> Reducer | None:
    """The reducer for a class of zarr's stores, or for tensorstore's arrays and key-value stores."""
    zarr, tensorstore = sys.modules.get("zarr.storage"), sys.modules.get("tensorstore")
    if zarr is not None:  # releases before 3 have neither class
        if issubclass(kind, getattr(zarr, "LocalStore", ())):
            return Reducer(_no_memory, guard=_local_store)
        if issubclass(kind, getattr(zarr, "FsspecStore", ())):
            return Reducer(_no_memory, guard=_fsspec_store)
    if tensorstore is not None and kind in (tensorstore.TensorStore, tensorstore.KvStore):
        return Reducer(_no_memory, guard=_tensorstore)
    return None


def _no_memory(_value: Any) -> int:
    return 0


def _checked(what: str, path: str) -> str:
    """The absolute path of a folder that is still there when the pickle is loaded.

    Raises
    ------
    RainException
        If it ends with the task.
    """
    path = os.path.abspath(path)
    real = os.path.realpath(path)
    if _ending is not None and (real == _ending or real.startswith(_ending + os.sep)):
        name = os.path.relpath(path)
        raise RainException(
            f"{what} in {name!r} cannot leave the task: its pickle holds no data, they lie in the task's own folder, "
            "which is removed with the task, and missing chunks read as the fill value. Return the folder, "
            f"ctx.stage_directory({name!r}), and open it where it is used; or return the values, array[:]"
        )
    return path


def _in_memory(what: str) -> RainException:
    return RainException(
        f"{what} in the memory of this process cannot leave it: its pickle holds no data, and missing chunks read as "
        "the fill value. Return the values, array[:], or write them to a folder and return that as a directory"
    )


def _while_there(path: str, value: Any) -> Call:
    """`value`, to be loaded where `path` is; elsewhere that is a FileNotFoundError."""
    return Call(operator.itemgetter(1), (Call(os.stat, path), value))


def _local_store(store: Any) -> Any:
    path = _checked("a zarr array or group", os.fspath(store.root))
    make, parameters, state, *_ = store.__reduce_ex__(5)
    return make, parameters, {**state, "root": Call(Path, _while_there(path, path))}


def _fsspec_store(store: Any) -> Any:
    system = getattr(store.fs, "sync_fs", store.fs)  # zarr wraps file systems that are not asynchronous
    protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
    if protocol == "memory":
        raise _in_memory("a zarr array or group")
    if protocol not in ("file", "local"):
        return NotImplemented
    path = _checked("a zarr array or group", store.path)
    make, parameters, state, *_ = store.__reduce_ex__(5)
    return make, parameters, {**state, "path": _while_there(path, path)}


def _tensorstore(value: Any) -> Any:
    what = "a tensorstore array" if hasattr(value, "dtype") else "a tensorstore key-value store"
    path = None
    for store in _key_value_stores(value.spec().to_json()):
        if store["driver"] == "memory":
            raise _in_memory(what)
        path = _checked(what, str(store["path"]))
    if path is None:
        return NotImplemented
    make, parameters = value.__reduce_ex__(5)
    return _while_there(path, Call(make, *parameters)).__reduce__()


def _key_value_stores(spec: Any) -> Iterator[dict[str, Any]]:
    """The innermost stores of a specification that are files or memory."""
    if isinstance(spec, dict):
        if spec.get("driver") in ("file", "memory") and "path" in spec:
            yield spec
        else:
            for part in spec.values():
                yield from _key_value_stores(part)
    elif isinstance(spec, list):
        for part in spec:
            yield from _key_value_stores(part)
