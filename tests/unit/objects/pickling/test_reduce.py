"""Values whose own pickles copy their memory: here they are mapped, and still valid pickles for everybody."""

from __future__ import annotations

import os
import pickle
import pickletools
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rain.objects.memory import map_fd
from rain.objects.pickling import buffers, reduce

LARGE = buffers.LARGE_BYTES
N = LARGE // 8 + 100
MAPPED_MIB = 64
LOAD_S_MAX = 0.002


class Plain(np.ndarray):
    """A subclass that leaves pickling to NumPy."""


class Own(np.ndarray):
    """A subclass with a way of its own."""

    def __reduce__(self) -> Any:
        return Own.make, (self.tolist(),)

    @classmethod
    def make(cls, items: Any) -> Any:
        return np.array(items).view(cls)


def frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array


def arrays(n: int = N) -> dict[str, Any]:
    base = np.arange(n, dtype="f8")
    square = np.arange(n // 8 * 8, dtype="f8").reshape(8, -1)
    return {
        "datetime64": base.astype("M8[s]"),
        "timedelta64": base.astype("m8[ms]"),
        "datetime64, Fortran": np.asfortranarray(square.astype("M8[s]")),
        "strided": np.arange(2 * n, dtype="f8")[::2],
        "strided backwards": np.arange(2 * n).astype("M8[s]")[::-2],
        "a column": np.zeros((n, 3))[:, 1],
        "backwards": base[::-1],
        "transposed": square.reshape(2, 4, -1).transpose(1, 2, 0),
        "windows": np.lib.stride_tricks.sliding_window_view(base, 5),
        "broadcast": np.broadcast_to(base, (3, n)),
        "broadcast, strided": np.broadcast_to(np.arange(2 * n, dtype="f8")[::2], (5, n)),
        "broadcast scalar": np.broadcast_to(np.float64(7), (n, 2)),
        "matrix": square.view(np.matrix),
        "subclass": base.view(Plain),
        "recarray": np.rec.fromarrays([base, base.astype("i2")], names="x,y"),
        "structured": np.zeros(n, "f8,i8"),
        "structured, strided": np.zeros(2 * n, "f8,M8[s]")[::2],
        "read-only": frozen(base.astype("M8[s]")),
        "big-endian": base.astype(">M8[s]"),
    }


def masked(n: int = N) -> dict[str, Any]:
    base = np.arange(n, dtype="f8")
    return {
        "masked": np.ma.array(base, mask=base % 2 > 0, fill_value=-5),
        "masked, no mask": np.ma.array(base),
        "masked times": np.ma.array(base.astype("M8[s]"), mask=base % 3 > 0, hard_mask=True),
        "masked, strided": np.ma.array(np.arange(2 * n), mask=False)[::2],
    }


def frames(n: int = N) -> dict[str, Any]:
    dates = pd.date_range("2020", periods=n, freq="s")
    return {
        "datetime64": pd.DataFrame({"t": dates, "x": range(n)}),
        "zone": pd.Series(dates.tz_localize("Europe/Prague", ambiguous="NaT", nonexistent="NaT")),
        "timedelta": pd.Series(dates - dates[0]),
        "period": pd.Series(pd.period_range("1900", periods=n, freq="min")),
        "index": pd.DatetimeIndex(dates, freq=None),
    }


def memmap(tmp_path: Path, n: int = N) -> Any:
    made = np.memmap(tmp_path / "memmap", dtype="f8", mode="w+", shape=(n,))
    made[:] = range(n)
    return made


def mapped(path: Path, writable: bool = True) -> memoryview:
    with open(path, "rb") as file:
        return map_fd(file.fileno(), os.fstat(file.fileno()).st_size, writable)


def pickled(value: Any, path: Path, cloud: bool = False) -> memoryview:
    """The value's pickle, mapped; it names nothing of ours."""
    path.unlink(missing_ok=True)
    data = buffers.dumps(value, cloud=cloud)
    named = [argument for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)]
    assert not [name for name in named if name.startswith("rain")]
    path.write_bytes(data)
    return mapped(path)


def is_inside(array: Any, view: memoryview) -> bool:
    start = np.frombuffer(view, "u1").ctypes.data
    return bool(start < array.__array_interface__["data"][0] < start + len(view))


def same_array(back: Any, array: Any) -> None:
    assert type(back) is type(array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(np.asarray(back), np.asarray(array))
    assert back.flags.writeable == array.flags.writeable


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("cloud", [False, True])
@pytest.mark.parametrize("name", arrays())
def test_arrays(name: str, cloud: bool, tmp_path: Path) -> None:
    array = arrays()[name]
    view = pickled({"a": array, "again": array}, tmp_path / "p", cloud)
    back = buffers.load(view)
    assert back["a"] is back["again"]
    same_array(back["a"], array)
    same_array(pickle.loads(view)["a"], array)
    repeated = name.startswith(("broadcast", "windows"))
    assert len(view) < (N * 8 if repeated else array.nbytes) + 1000
    if name == "broadcast scalar":
        assert len(view) < 1000
    else:
        assert buffers.large_buffers(view) == 1
        assert is_inside(back["a"], view)
        assert not buffers.load(mapped(tmp_path / "p", writable=False))["a"].flags.writeable


@pytest.mark.parametrize("name", masked())
def test_masked_arrays(name: str, tmp_path: Path) -> None:
    array = masked()[name]
    view = pickled(array, tmp_path / "p")
    for back in (buffers.load(view), pickle.loads(view)):
        assert type(back) is np.ma.MaskedArray
        same_array(back.data, array.data)
        assert (back.mask is np.ma.nomask) == (array.mask is np.ma.nomask)
        np.testing.assert_array_equal(back.mask, array.mask)
        assert repr(back.fill_value) == repr(array.fill_value)
        assert back.hardmask == array.hardmask
        back[0] = np.ma.masked
        assert back.mask[0]
    assert is_inside(buffers.load(view).data, view)


@pytest.mark.parametrize("name", frames())
def test_dates_of_pandas(name: str, tmp_path: Path) -> None:
    value = frames()[name]
    view = pickled(value, tmp_path / "p")
    for back in (buffers.load(view), pickle.loads(view)):
        assert back.equals(value)
        assert type(back) is type(value)
    back = buffers.load(view)
    inner = back["t"].array if isinstance(back, pd.DataFrame) else back.array
    assert is_inside(getattr(inner, "_ndarray"), view)  # noqa: B009


def test_memory_maps(tmp_path: Path) -> None:
    array = memmap(tmp_path)
    view = pickled(array, tmp_path / "p")
    for back in (buffers.load(view), pickle.loads(view)):
        same_array(back, array)
    assert is_inside(buffers.load(view), view)


def test_what_is_left_to_numpy() -> None:
    """Small values, objects, and classes that have a way of their own are pickled as ever."""
    for value in (
        np.arange(10).astype("M8[s]"), np.ma.array([1, 2]), np.arange(20)[::2], np.zeros(0, "M8[s]"),
        np.array([{}] * N, object), np.array([{}] * (2 * N), object)[::2], np.arange(N).view(Own),
        np.array(["x" * 100] * 1000, np.dtypes.StringDType()),
    ):  # fmt: skip
        data = buffers.dumps(value)
        assert data == pickle.dumps(value)
        assert type(buffers.load(data)) is type(value)


def test_a_reducer_that_fails_leaves_it_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise AttributeError("another release of the library")

    for field in ("memory", "reduce"):
        kinds = {np.ndarray: reduce.reducer(np.ndarray)._replace(**{field: broken})}
        monkeypatch.setattr(reduce, "_known", kinds)
        array = arrays()["datetime64"]
        np.testing.assert_array_equal(buffers.load(buffers.dumps([array]))[0], array)


def test_types_are_not_remembered_for_ever() -> None:
    for number in range(reduce.KINDS_MAX + 10):
        assert reduce.reducer(type(f"T{number}", (), {})) is None
    assert len(reduce._known) <= reduce.KINDS_MAX
    assert reduce.reducer(np.ndarray).reduce is not None


def test_libraries_are_not_imported() -> None:
    code = (
        "import sys; from rain.objects.pickling import buffers; import numpy\n"
        "buffers.dumps([numpy.zeros(90000, 'M8[s]'), b'x' * 90000])\n"
        "print([name for name in ('torch', 'polars', 'pandas', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# -- torch -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed")


def same_tensor(torch: Any, back: Any, tensor: Any) -> None:
    assert type(back) is type(tensor)
    assert (back.dtype, back.shape, back.requires_grad) == (tensor.dtype, tensor.shape, tensor.requires_grad)
    assert torch.equal(back, tensor)


def test_tensors(torch: Any, tmp_path: Path) -> None:
    base = torch.arange(N, dtype=torch.float64)
    square = torch.arange(N // 8 * 8, dtype=torch.float64).reshape(8, -1)
    for name, tensor, size in (
        ("whole", base, base.nbytes), ("bfloat16", torch.ones(4 * N, dtype=torch.bfloat16), 8 * N),
        ("ten values", base[5:15], 80), ("transposed", square.T, square.nbytes), ("a row", square[3], square[3].nbytes),
        ("a column", torch.zeros(1000, 500)[:, 3], 4000), ("expanded", torch.ones(8).expand(N, 8), 1000),
        ("expanded column", torch.zeros(1000, 500)[:, :1].expand(1000, 500), 4000),
        ("grad", torch.ones(N, requires_grad=True), 4 * N),
        ("not a leaf", torch.ones(N, requires_grad=True) * 2, 4 * N),
        ("parameter", torch.nn.Parameter(base), base.nbytes), ("complex", torch.ones(N, dtype=torch.complex64), 8 * N),
        ("bool", torch.ones(8 * N, dtype=torch.bool), 8 * N), ("scalar", base[3], 8),
    ):  # fmt: skip
        for cloud in (False, True):
            view = pickled(tensor, tmp_path / "p", cloud)
            assert len(view) < size + 2000, name
            back = buffers.load(view)
            for one in (back, pickle.loads(view), buffers.load(mapped(tmp_path / "p", writable=False))):
                same_tensor(torch, one, tensor)
            if size >= LARGE:
                start = np.frombuffer(view, "u1").ctypes.data
                assert start < back.data_ptr() < start + len(view), name


def test_tensors_that_share_memory_share_it_again(torch: Any, tmp_path: Path) -> None:
    base = torch.arange(N, dtype=torch.float64)
    model = torch.nn.Sequential(torch.nn.Linear(200, 200), torch.nn.Linear(200, 200))
    model[1].weight = model[0].weight
    tied = {"x": model[0].weight.data, "y": model[0].weight.data[50:], "model": model, "half": base[: N // 2 + 5]}
    tied["other"] = base[N // 2 - 5 :].view(torch.int32)
    tied["apart"] = torch.zeros(10 * N)[:100]
    view = pickled(tied, tmp_path / "p")
    assert len(view) < base.nbytes + 2 * 200 * 200 * 4 + 10_000
    for back in (buffers.load(view), pickle.loads(view)):
        assert back["model"][0].weight is back["model"][1].weight
        back["x"][60, 0] = 77
        assert back["y"][10, 0] == back["model"][0].weight[60, 0] == 77
        back["half"][-1] = 0
        assert back["other"].view(torch.float64)[9] == 0
        assert back["half"].untyped_storage().data_ptr() == back["other"].untyped_storage().data_ptr()
    assert (tmp_path / "p").read_bytes() == bytes(mapped(tmp_path / "p"))
    assert pickle.loads((tmp_path / "p").read_bytes())["x"][60, 0] != 77  # the file is as it was


def test_tensors_can_always_be_written(torch: Any, tmp_path: Path) -> None:
    """They cannot be read-only: a write to memory that is would end the process."""
    tensor = torch.zeros(N, dtype=torch.float64)
    pickled(tensor, tmp_path / "p")
    for data in (mapped(tmp_path / "p", writable=False), (tmp_path / "p").read_bytes()):
        back = buffers.load(data)
        back[0] = 1
        assert back.sum() == 1
    assert buffers.load(mapped(tmp_path / "p")).sum() == 0


def test_tensors_on_a_gpu_are_written_as_what_they_show(torch: Any) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    base = torch.arange(N * 8, dtype=torch.float64, device="cuda")
    square = base.reshape(8, -1)
    for tensor, size in (
        (base, base.nbytes), (base[:10], 80), (base[5:-5], base.nbytes), (square.T, base.nbytes),
        (square[:, ::3], base.nbytes // 3 + 64), (base[:5].expand(100_000, 5), 40), (base[3], 8),
        (torch.nn.Parameter(base), base.nbytes), (torch.ones(N, device="cuda", requires_grad=True), 4 * N),
    ):  # fmt: skip
        data = buffers.dumps(tensor)
        assert len(data) < size + 2000
        for back in (buffers.load(bytearray(data)), buffers.load(data), pickle.loads(data)):
            same_tensor(torch, back, tensor)
            assert back.device == tensor.device


def test_tensors_that_are_left_to_torch(torch: Any) -> None:
    for tensor in (
        torch.arange(10), torch.zeros(0), torch.eye(300).to_sparse(), torch.zeros(N, device="meta"),
        torch.ones(N, dtype=torch.complex64).conj(), torch.nested.nested_tensor([torch.ones(N), torch.ones(3)]),
    ):  # fmt: skip
        back = buffers.load(buffers.dumps(tensor))
        assert (type(back), back.layout, back.dtype) == (type(tensor), tensor.layout, tensor.dtype)


# -- Arrow -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cloud", [False, True])
def test_slices_of_arrow_are_written_without_the_rest(tmp_path: Path, cloud: bool) -> None:
    pa = pytest.importorskip("pyarrow")
    n = 10 * N
    names = pa.array(["some name"] * n).dictionary_encode()
    table = pa.table({"x": np.arange(n), "s": pa.array([f"text {i}" for i in range(n)]), "d": names, "l": [[1.5]] * n})
    batch = table.to_batches()[0]
    for value in (table[7:17], batch[7:17], table["s"][7:17], batch["x"][7:17], batch["d"][7:17], batch["l"][-3:]):
        view = pickled({"a": value, "again": value}, tmp_path / "p", cloud)
        for back in (buffers.load(view), pickle.loads(view)):
            assert back["a"] is back["again"]
            assert type(back["a"]) is type(value)
            assert back["a"].equals(value)
        assert len(view) < 20_000
    whole = pickled(table, tmp_path / "p", cloud)
    assert buffers.load(whole).equals(table)
    assert buffers.large_buffers(whole) >= 2


# -- jax -------------------------------------------------------------------------------------------------


def test_jax_arrays() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    numbers = jax.numpy
    for array in (
        numbers.arange(N, dtype="f4"), numbers.ones(N * 4, numbers.bfloat16), numbers.ones((400, 600)).T,
        numbers.arange(2 * N)[::2], numbers.ones(N * 8, bool), numbers.ones(3), numbers.zeros((0, N)),
    ):  # fmt: skip
        data = buffers.dumps(array)
        assert buffers.large_buffers(data) == (array.nbytes >= LARGE)
        for back in (buffers.load(bytearray(data)), buffers.load(data), pickle.loads(data)):
            assert (type(back), back.dtype, back.shape) == (type(array), array.dtype, array.shape)
            assert (back == array).all()
    keys, weak = jax.random.key(7), numbers.asarray(1.5) * numbers.ones(N)
    assert jax.random.key_data(buffers.load(buffers.dumps(keys))).tolist() == jax.random.key_data(keys).tolist()
    assert buffers.load(buffers.dumps(weak)).weak_type == weak.weak_type


# -- polars ------------------------------------------------------------------------------------------------


def test_polars(tmp_path: Path) -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    frame = pl.DataFrame({"a": np.arange(N), "s": ["x" * 20] * N, "t": pl.Series(range(N)).cast(pl.Datetime("us"))})
    for value in (frame, frame["a"], frame["s"], pl.concat([frame, frame], rechunk=False)):
        view = pickled(value, tmp_path / "p")
        for back in (buffers.load(view), pickle.loads(view)):
            assert type(back) is type(value)
            assert back.equals(value)
            assert getattr(back, "schema", None) == getattr(value, "schema", None)
            assert getattr(back, "name", None) == getattr(value, "name", None)
        column = buffers.load(view)
        column = column if isinstance(column, pl.Series) else column["a"]
        if column.dtype == pl.Int64:
            assert is_inside(column.to_numpy(), view)
    assert len(pickled(frame[10:20_000][:3000], tmp_path / "p")) < 3000 * 90
    for value in (frame[:5], pl.DataFrame({"x": pl.Series([1] * 2 * N, dtype=pl.Int128)})):  # left to polars
        assert buffers.load(buffers.dumps(value)).equals(value)


# -- at full length ------------------------------------------------------------------------------------------


def private_bytes() -> int:
    """What of its memory is this process's own."""
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("Private_Dirty:"))


def everything(tmp_path: Path) -> dict[str, Any]:
    n = MAPPED_MIB * (1 << 20) // 8
    found = {**arrays(n), **masked(n), **frames(n), "memmap": memmap(tmp_path, n)}
    found.pop("broadcast scalar")
    try:
        import torch

        found["torch"] = torch.arange(n, dtype=torch.float64)
        found["torch, two views"] = [found["torch"][: n // 2 + 1], found["torch"][n // 2 :]]
    except ImportError:
        pass
    try:
        import polars

        found["polars"] = polars.DataFrame({"x": np.arange(n, dtype="f8")})
    except ImportError:
        pass
    return found


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_64_mib_of_each_load_at_once_and_take_no_memory(tmp_path: Path) -> None:
    for name, value in everything(tmp_path).items():
        view = pickled(value, tmp_path / "p")
        assert len(view) > MAPPED_MIB << 19, name
        taken = []
        for _ in range(5):
            begin = time.perf_counter()
            back = buffers.load(view)
            taken.append(time.perf_counter() - begin)
        before = private_bytes()
        back = buffers.load(view)
        assert private_bytes() - before < 1 << 20, name
        assert back is not None
        assert min(taken) < LOAD_S_MAX, (name, taken)
