"""Arrays whose chunks lie in a folder or in memory: never a value without its data.

zarr and tensorstore are imported where they are needed: all workers collect this file, and few run a test of it.
"""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rain.client.functions.pickling import dumps as argument
from rain.common.errors import RainException
from rain.objects.content_types.codecs import decode_value, encode_value
from rain.objects.pickling.reduce import stores

SIZE = 1000


def zarr_array(folder: Path) -> Any:
    import zarr

    array = zarr.create_array(store=str(folder), shape=(SIZE,), chunks=(100,), dtype="f8")
    array[:] = 1.5
    return array


def zarr_group(folder: Path) -> Any:
    import zarr

    group = zarr.open_group(str(folder), mode="w")
    group.create_array("a", shape=(SIZE,), dtype="f8")[:] = 1.5
    return group


def fsspec_array(folder: Path) -> Any:
    import zarr

    folder.mkdir()
    array = zarr.create_array(
        zarr.storage.FsspecStore.from_url(f"file://{folder}", storage_options={"auto_mkdir": True}),
        shape=(SIZE,), dtype="f8",
    )  # fmt: skip
    array[:] = 1.5
    return array


def tensorstore_array(folder: Path) -> Any:
    import tensorstore

    spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": str(folder)}}
    array = tensorstore.open(spec, create=True, shape=[SIZE], dtype=tensorstore.float64).result()
    array[:] = 1.5
    return array


def tensorstore_cast(folder: Path) -> Any:
    import tensorstore

    return tensorstore.cast(tensorstore_array(folder), tensorstore.float32)


def tensorstore_folder(folder: Path) -> Any:
    return tensorstore_array(folder).kvstore


MAKERS = [zarr_array, zarr_group, fsspec_array, tensorstore_array, tensorstore_cast, tensorstore_folder]


def read(value: Any) -> float:
    """The first number in it."""
    import tensorstore
    import zarr

    if isinstance(value, tensorstore.KvStore):
        value = tensorstore.open({"driver": "zarr", "kvstore": value.spec().to_json()}).result()
    if isinstance(value, zarr.Group):
        value = value["a"]
    return float(np.asarray(value[:1])[0])


@pytest.fixture(params=["pickle", "cloudpickle", "argument"])
def travelled(request: pytest.FixtureRequest) -> Any:
    """From a value to its bytes, and from bytes to what is loaded: as results and as arguments go."""
    if request.param == "argument":
        return argument, pickle.loads
    return (lambda value: encode_value(value, request.param)), (lambda data: decode_value(data, request.param))


@pytest.mark.parametrize("make", MAKERS)
def test_the_folder_is_looked_for_when_the_value_is_loaded(make: Any, travelled: Any, tmp_path: Path) -> None:
    there, back = travelled
    data = there({"value": make(tmp_path / "x"), "beside": np.zeros(100_000)})
    assert read(back(data)["value"]) == 1.5
    shutil.rmtree(tmp_path / "x")
    with pytest.raises((FileNotFoundError, RainException), match="No such file or directory"):
        back(data)


@pytest.mark.parametrize("make", MAKERS)
def test_what_lies_in_a_task_s_folder_cannot_leave_the_task(
    make: Any, travelled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "task").mkdir()
    monkeypatch.chdir(tmp_path / "task")
    monkeypatch.setattr(stores, "_ending", None)
    stores.ends_with_task(str(tmp_path / "task"))
    with pytest.raises(RainException, match=r"in 'x' cannot leave the task.* ctx\.stage_directory\('x'\)"):
        travelled[0](make(Path(os.getcwd(), "x")))
    travelled[0](make(tmp_path / "elsewhere"))


def test_a_relative_path_means_the_folder_of_the_process_that_pickled_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = encode_value(zarr_array(Path("x")), "pickle")
    monkeypatch.chdir("/")
    assert read(decode_value(data, "pickle")) == 1.5


def test_memory_of_this_process_cannot_leave_it(travelled: Any) -> None:
    import tensorstore
    import zarr

    array = tensorstore.open(
        {"driver": "zarr", "kvstore": "memory://a/"}, create=True, shape=[3], dtype=tensorstore.float64
    ).result()
    remote = zarr.create_array(zarr.storage.FsspecStore.from_url("memory://a"), shape=(3,), dtype="f8", overwrite=True)
    for value in (array, array.kvstore, remote):
        with pytest.raises(RainException, match=r"memory of this process cannot leave it.* array\[:\]"):
            travelled[0](value)


def test_stores_that_hold_their_data_travel(travelled: Any) -> None:
    import tensorstore
    import zarr

    there, back = travelled
    kept = zarr.create_array(zarr.storage.MemoryStore(), shape=(3,), dtype="f8")
    kept[:] = 1.5
    assert read(back(there(kept))) == 1.5
    assert np.asarray(back(there(tensorstore.array([1, 2])))).tolist() == [1, 2]
