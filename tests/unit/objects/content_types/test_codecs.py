import io
import json
import os
import pickle
import threading
import types

import cbor2
import numpy as np
import pytest
import xxhash

from rain.common.errors import RainException, ResourceError
from rain.common.ids import ID
from rain.common.location import LocalFile
from rain.objects.content_types import codecs
from rain.objects.files import StaleFile, checksum_fd, inline, local_file, open_checked
from rain.objects.memory import map_fd
from rain.objects.pickling import buffers
from rain.objects.pickling.placeholders import placeholder, resolving
from rain.objects.sink import Sink

LARGE = buffers.LARGE_BYTES


def mapped(path, writable=False):
    fd = os.open(path, os.O_RDONLY)
    try:
        return map_fd(fd, os.fstat(fd).st_size, writable)
    finally:
        os.close(fd)


# -- names and values -----------------------------------------------------------------------------


def test_json_is_json_dumps():
    value = {"a": [1, 2.5, None], "ž": "é"}
    assert codecs.encode_value(value, "json") == json.dumps(value).encode()
    assert codecs.decode_value(codecs.encode_value(value, "json"), "json") == value


def test_cbor():
    value = {"a": [1, b"bytes"], 2: None}
    assert cbor2.loads(codecs.encode_value(value, "cbor")) == value
    assert codecs.decode_value(memoryview(codecs.encode_value(value, "cbor")), "cbor") == value


@pytest.mark.parametrize("name", ["text", "text-utf-16", "text-latin-1"])
def test_text(name):
    assert codecs.decode_value(codecs.encode_value("žluť"[1:3], "text"), "text") == "lu"
    data = codecs.encode_value("é", name)
    assert data == "é".encode(name[5:] or "utf-8")
    assert codecs.decode_value(data, name) == "é"


@pytest.mark.parametrize("name", ["mime/image/png", "user/x", "protobuf", "protobuf/a.B"])
@pytest.mark.parametrize("value", [b"xyz", bytearray(b"xyz"), memoryview(b"xyz")])
def test_bytes_pass_through(name, value):
    data = codecs.encode_value(value, name)
    assert (type(data), data) == (bytes, b"xyz")
    assert codecs.decode_value(memoryview(data), name) == b"xyz"


def test_protobuf_messages_serialize_themselves():
    message = types.SimpleNamespace(SerializeToString=lambda: b"\x08\x01")
    assert codecs.encode_value(message, "protobuf/m") == b"\x08\x01"


@pytest.mark.parametrize(("value", "name", "says"), [
    ({1, 2}, "json", "set cannot be encoded as 'json'"),
    (np.float32(1), "json", "float32"),
    (object(), "cbor", "object"),
    (5, "text", "takes str, not int"),
    ("ž", "text-latin-1", "latin"),
    ("s", "mime/a", "takes bytes, not str"),
    ("s", "protobuf", "takes bytes, not str"),
    (lambda: 0, "pickle", '"cloudpickle" can do'),
    (threading.Lock(), "cloudpickle", "lock"),
    (1, None, "without a content type"),
    (1, "", "without a content type"),
    ("p", "dir", "directory"),
    (5, "arrow", "not int"),
])  # fmt: skip
def test_what_cannot_be_encoded(value, name, says):
    with pytest.raises(RainException, match=says):
        codecs.encode_value(value, name)


@pytest.mark.parametrize(("data", "name", "says"), [
    (b"{", "json", "cannot be loaded as 'json'"),
    (b"\xff", "text", "'text'"),
    (b"nonsense", "pickle", "'pickle'"),
    (b"", "pickle", "'pickle'"),
    (b"ARROW1 but not really", "arrow", "'arrow'"),
    (b"\x5f", "cbor", "'cbor'"),
    (b"x", None, "no content type"),
    (b"x", "dir", "write"),
])  # fmt: skip
def test_what_cannot_be_decoded(data, name, says):
    with pytest.raises(RainException, match=says):
        codecs.decode_value(data, name)


def test_unknown_types():
    for function in (codecs.encode_value, codecs.decode_value):
        with pytest.raises(ValueError, match="unknown content type"):
            function(b"", "nonsense")


# -- placeholders ---------------------------------------------------------------------------------


class Handle:
    def __init__(self, id):
        self.id = id

    def __reduce__(self):
        return (placeholder, tuple(self.id))


def test_placeholders_are_resolved():
    data = pickle.dumps([Handle(ID(1, 2)), {"x": Handle(ID(1, 3))}])
    with resolving(lambda id: f"value of {id}"):
        assert pickle.loads(data) == ["value of 1/2", {"x": "value of 1/3"}]
        with resolving(lambda id: id.id):
            assert pickle.loads(data) == [2, {"x": 3}]
        assert pickle.loads(data)[0] == "value of 1/2"
    with pytest.raises(RainException, match="1/2 was pickled into something"):
        pickle.loads(data)


# -- pickles --------------------------------------------------------------------------------------


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if type(a) in (list, tuple) and len(a) < 1000:
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def both(value, cloud=False):
    """The aligned pickle of a value, after all ways to load it gave the value back."""
    data = buffers.dumps(value, cloud=cloud)
    for back in (
        pickle.loads(data),
        pickle.load(io.BytesIO(data)),
        pickle._Unpickler(io.BytesIO(data)).load(),
        buffers.load(data),
        buffers.load(memoryview(data)),
        buffers.load(bytearray(data)),
    ):
        assert type(back) is type(value)
        assert same(back, value)
    return data


@pytest.mark.parametrize("value", [
    1, None, True, 2.5, 1j, "text", b"bytes", [1, "a", (2, {3})], {"k": bytearray(b"x")}, np.arange(10),
    list(range(50_000)), ["x" * 1000] * 500, [str(i) * 100 for i in range(2000)], b"x" * (LARGE - 1), 2**70000,
    {i: float(i) for i in range(20_000)}, ID(1, 2),
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_without_large_buffers_it_is_the_plain_pickle(value):
    assert buffers.dumps(value) == pickle.dumps(value)
    both(value)
    both(value, cloud=True)


@pytest.mark.parametrize(("value", "count"), [
    (np.arange(20_000.0), 1),
    (np.ones((300, 300), order="F"), 1),
    (np.ones((300, 300))[::2], 1),
    (np.zeros(20_000, dtype="datetime64[s]"), 1),
    (b"x" * LARGE, 1),
    (bytearray(b"x" * LARGE), 1),
    ("x" * LARGE, 1),
    ("ž" * LARGE, 1),
    ("\udcff" * LARGE, 1),
    ([b"a" * LARGE, np.ones(LARGE), {"b": b"c" * (LARGE + 1)}, list(range(30_000)), np.arange(3)], 3),
    ((1, 2, np.ones(LARGE)), 1),
], ids=lambda value: type(value).__name__ if not isinstance(value, int) or value > 9 else str(value))  # fmt: skip
def test_large_buffers_are_aligned(value, count):
    for cloud in (False, True):
        data = both(value, cloud)
        entries = buffers._read_index(memoryview(data))
        assert len(entries) == count == buffers.large_buffers(data)
        for _, payload, _, _, _ in entries:
            assert payload % buffers.ALIGNMENT == 0
    assert codecs.encode_value(value, "pickle") == buffers.dumps(value)


def test_the_same_array_twice_stays_one():
    array = np.ones(LARGE)
    a, b = buffers.load(buffers.dumps([array, array]))
    assert a is b


def test_shared_bytes_stay_shared():
    value = b"v" * LARGE
    a, b = buffers.load(buffers.dumps([value, value]))
    assert a is b


def test_many_arrays():
    arrays = [np.full(LARGE // 8 + i, i, dtype="int64") for i in range(50)]
    data = both(arrays)
    assert buffers.large_buffers(data) == 50


def test_loaded_arrays_are_views_of_the_mapping(tmp_path):
    array = np.arange(100_000.0)
    frozen = array.copy()
    frozen.flags.writeable = False
    path = str(tmp_path / "value")
    written = codecs.encode_to_file({"a": array, "f": frozen}, "pickle", Sink(path, 1000))
    assert isinstance(written, LocalFile)

    view = mapped(path)
    loaded = codecs.decode_value(view, "pickle")
    assert not loaded["a"].flags.writeable
    start = np.frombuffer(view, dtype="uint8").ctypes.data
    assert start < loaded["a"].ctypes.data < loaded["f"].ctypes.data < start + len(view)
    assert loaded["a"].ctypes.data % buffers.ALIGNMENT == 0

    changed = codecs.decode_value(mapped(path, writable=True), "pickle")
    changed["a"][:] = 0
    assert not changed["f"].flags.writeable  # as it was when it was pickled
    np.testing.assert_equal(codecs.decode_value(mapped(path), "pickle")["a"], array)
    with open(path, "rb") as file:
        np.testing.assert_equal(pickle.load(file)["a"], array)
    assert loaded["a"][0] == 0


def test_the_mapping_lives_as_long_as_the_array(tmp_path):
    path = str(tmp_path / "value")
    codecs.encode_to_file(np.arange(100_000), "pickle", Sink(path, 0))
    array = codecs.decode_value(mapped(path), "pickle")
    os.unlink(path)
    assert array.sum() == 99_999 * 50_000


def test_a_false_index_is_not_believed():
    data = buffers.dumps(np.ones(LARGE))
    for cut in (data[:-1], data + b"x", data[: -buffers._FOOTER.size] + data[-buffers._FOOTER.size + 8 :]):
        assert buffers.large_buffers(cut) == 0
        np.testing.assert_equal(buffers.load(cut), np.ones(LARGE))
    broken = bytearray(data)
    entry = len(data) - buffers._FOOTER.size - buffers._ENTRY.size
    broken[entry + 8 : entry + 16] = (1 << 60).to_bytes(8, "little")
    assert buffers.large_buffers(broken) == 0


def test_a_value_that_looks_like_an_announcement():
    """An int whose bytes look like the head of a payload, right before a chunk of that size."""
    for opcode, head in ((b"\x96", buffers._LONG_HEAD), (b"B", buffers._SHORT_HEAD)):
        trap = int.from_bytes(b"\x01" * (LARGE + 100) + head.pack(opcode, LARGE), "little")
        both([trap, b"y" * LARGE, trap, np.ones(LARGE)])
        both([trap, "y" * LARGE])


class Odd:
    """Not an array, though it has nbytes."""

    def __init__(self, answer):
        self.answer = answer

    @property
    def nbytes(self):
        return 1 / 0 if self.answer is None else self.answer


@pytest.mark.parametrize("answer", ["many", 10**9, None])
def test_objects_with_odd_attributes(answer):
    assert buffers.dumps([Odd(answer)]) == pickle.dumps([Odd(answer)])


def test_arrays_of_objects_have_no_buffer():
    array = np.array([{}] * 20_000, dtype=object)
    assert buffers.dumps(array) == pickle.dumps(array)


def test_pandas_and_arrow_are_mapped(tmp_path):
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": np.arange(50_000.0), "b": np.arange(50_000), "s": ["x"] * 50_000})
    table = pyarrow.table({"a": np.arange(50_000.0)})
    for number, value in enumerate((frame, table)):
        path = str(tmp_path / str(number))
        codecs.encode_to_file(value, "pickle", Sink(path, 0))
        view = mapped(path)
        assert buffers.large_buffers(view) > 0
        assert codecs.decode_value(view, "pickle").equals(value)
        with open(path, "rb") as file:
            assert pickle.load(file).equals(value)


def test_cloudpickle_does_functions():
    big = np.arange(LARGE)
    data = codecs.encode_value(lambda x: x + big.sum(), "cloudpickle")
    assert buffers.large_buffers(data) == 1
    assert codecs.decode_value(data, "cloudpickle")(1) == big.sum() + 1
    assert codecs.decode_value(data, "pickle")(1) == big.sum() + 1


# -- arrow ----------------------------------------------------------------------------------------


def test_arrow_gives_back_what_it_got():
    pa = pytest.importorskip("pyarrow")
    for value in (
        pa.table({"a": [1, 2], "s": ["x", None]}),
        pa.table({"a": [1]}).replace_schema_metadata({"k": "v"}),
        pa.record_batch({"a": [1, 2]}),
        pa.record_batch({"a": pa.array([], pa.int64())}),
        pa.array([1, None, 3]),
        pa.array([], pa.string()),
        pa.chunked_array([[1], [2, 3]]),
        [1, 2, None],
        [],
        ["a", "b"],
        [[1], [2, 3]],
        {"a": [1, 2], "b": ["x", "y"]},
        {},
    ):
        back = codecs.decode_value(codecs.encode_value(value, "arrow"), "arrow")
        assert type(back) is type(value)
        assert back == value
        if isinstance(value, pa.Table):
            assert back.schema.equals(value.schema, check_metadata=True)
    nan = codecs.decode_value(codecs.encode_value([1.0, float("nan")], "arrow"), "arrow")
    assert nan[1] != nan[1]


def test_arrow_data_frames_and_arrays():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.5, 2], "c": pandas.Categorical(["u", "v"])}, index=pandas.Index([5, 7], name="i"))
    data = codecs.encode_value(frame, "arrow")
    for memory in (data, bytearray(data)):
        pandas.testing.assert_frame_equal(codecs.decode_value(memory, "arrow"), frame)
    array = np.arange(5.0)
    data = codecs.encode_value(array, "arrow")
    np.testing.assert_equal(codecs.decode_value(data, "arrow"), array)
    assert not codecs.decode_value(data, "arrow").flags.writeable
    back = codecs.decode_value(bytearray(data), "arrow")
    back[0] = 9


@pytest.mark.parametrize("value", [
    [1, "a"], {"a": [1], "b": [1, 2]}, np.ones((2, 2)), {"a": np.arange(3)}, {1: [2]}, [{"a": 1}, {"b": 2}], (1, 2),
    [2**70], 5,
], ids=lambda value: type(value).__name__ if not isinstance(value, int) or value > 9 else str(value))  # fmt: skip
def test_arrow_refuses_what_it_would_change(value):
    with pytest.raises(RainException, match="arrow"):
        codecs.encode_value(value, "arrow")


def test_arrow_streams_are_read_too(tmp_path):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1, 2]})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert codecs.decode_value(sink.getvalue(), "arrow") == table


def test_arrow_tables_are_mapped(tmp_path):
    pa = pytest.importorskip("pyarrow")
    path = str(tmp_path / "t")
    written = codecs.encode_to_file(pa.table({"a": np.arange(100_000)}), "arrow", Sink(path, 0))
    view = mapped(path)
    assert xxhash.xxh3_64_intdigest(view) == written.checksum
    before = pa.total_allocated_bytes()
    table = codecs.decode_value(view, "arrow")
    assert table["a"][99_999].as_py() == 99_999
    assert pa.total_allocated_bytes() - before < 10_000


# -- files ----------------------------------------------------------------------------------------


def test_small_values_make_no_file(tmp_path):
    path = tmp_path / "value"
    assert codecs.encode_to_file([1, 2], "json", Sink(str(path), 1000)) == inline(b"[1, 2]")
    assert not path.exists()


@pytest.mark.parametrize(
    "value", [np.arange(100_000), list(range(40_000)), b"x" * 500_000], ids=["array", "list", "bytes"]
)
def test_large_values_are_written_once_with_their_checksum(tmp_path, value):
    path = tmp_path / "value"
    written = codecs.encode_to_file(value, "pickle", Sink(str(path), 1000))
    assert written == local_file(str(path), checksum=written.checksum)
    assert written.checksum == xxhash.xxh3_64_intdigest(path.read_bytes())
    assert path.read_bytes() == codecs.encode_value(value, "pickle")
    assert path.stat().st_mode & 0o222 == 0
    fd = open_checked(written)
    assert checksum_fd(fd, written.size) == written.checksum
    os.close(fd)


def test_failed_encoding_leaves_nothing(tmp_path):
    path = tmp_path / "value"
    with pytest.raises(RainException):
        codecs.encode_to_file([np.ones(LARGE), threading.Lock()], "pickle", Sink(str(path), 0))
    with pytest.raises(RainException):
        codecs.encode_to_file([b"x" * LARGE, threading.Lock()], "cloudpickle", Sink(str(path), 0))
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_not_overwritten(tmp_path):
    path = tmp_path / "value"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        codecs.encode_to_file(b"x" * 100, "user/x", Sink(str(path), 0))
    assert path.read_text() == "mine"


def test_spilling_past_bytes_max(tmp_path):
    data = os.urandom(3_000_000)
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    written = Sink(first, 5, spill_path=second, bytes_max=2_000_000).write_all([data[:10], data[10:]])
    assert written.path == second
    assert os.listdir(tmp_path) == ["second"]
    with open(second, "rb") as file:
        assert file.read() == data
    assert written.checksum == xxhash.xxh3_64_intdigest(data)
    with pytest.raises(ResourceError, match=r"no space left to write .*first.* bytes are free"):
        Sink(first, bytes_max=1_000_000).write_all([data])
    assert os.listdir(tmp_path) == ["second"]


def test_disk_full_is_told_and_nothing_left(tmp_path, monkeypatch):
    import errno

    real = os.write
    left = [1_500_000]

    def write(fd, data):
        if len(data) > left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= len(data)
        return real(fd, data)

    monkeypatch.setattr("rain.objects.files.os.write", write)
    path = tmp_path / "value"
    with pytest.raises(ResourceError, match=f"{path}.* bytes are free"):
        codecs.encode_to_file(b"x" * 3_000_000, "user/x", Sink(str(path), 0))
    assert not path.exists()
    left[0] = 1_500_000
    spill = tmp_path / "spill"
    monkeypatch.setattr(
        "rain.objects.files.os.write", lambda fd, data: write(fd, data) if not spill.exists() else real(fd, data)
    )
    written = codecs.encode_to_file(b"x" * 3_000_000, "user/x", Sink(str(path), 0, spill_path=str(spill)))
    assert spill.read_bytes() == b"x" * 3_000_000
    assert written.path == str(spill)
    assert not path.exists()


def test_stale_files_are_not_opened(tmp_path):
    path = tmp_path / "value"
    path.write_bytes(b"abc")
    ref = local_file(str(path))
    os.close(open_checked(ref))
    os.utime(path, ns=(0, 5))
    with pytest.raises(StaleFile, match="not the file"):
        open_checked(ref)
    path.unlink()
    with pytest.raises(StaleFile, match="cannot be opened"):
        open_checked(ref)
    os.mkfifo(path)
    with pytest.raises(StaleFile):
        open_checked(local_file(str(path)))


def test_sink_forgets(tmp_path):
    sink = Sink(str(tmp_path / "a"), 3)
    sink.write(b"abcdef")
    sink.discard()
    assert list(tmp_path.iterdir()) == []
    sink.write(b"xy")
    assert sink.finish() == inline(b"xy")


def test_mapping_nothing(tmp_path):
    path = tmp_path / "empty"
    path.touch()
    assert bytes(mapped(str(path))) == b""
    assert not mapped(str(path), writable=True).readonly
    path.write_bytes(b"x")
    assert bytes(mapped(str(path))) == b"x"


def test_data_frames_in_arrow_are_writable_where_the_memory_is():
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    from rain.objects.content_types.arrow import tables

    count = 10_000
    frame = pandas.DataFrame({
        "int": np.arange(count), "float": np.arange(count) / 2, "small": np.arange(count, dtype="float32"),
        "time": pandas.date_range("2020", periods=count, freq="s").as_unit("us"),
        "zone": pandas.date_range("2020", periods=count, freq="s", tz="UTC").as_unit("us"),
        "delta": pandas.to_timedelta(np.arange(count), unit="s").as_unit("us"),
        "category": pandas.Categorical(np.array(["a", "b"])[np.arange(count) % 2]),
        "masked": pandas.array(np.arange(count), dtype="Int64"),
        "nulls": np.where(np.arange(count) % 3 == 0, np.nan, 1.0), "bool": np.arange(count) % 2 == 0,
        "text": [f"x{number}" for number in range(count)],
    })  # fmt: skip
    data = codecs.encode_value(frame, "arrow")
    memory = bytearray(data)
    begin = np.frombuffer(memory, np.uint8).ctypes.data
    written = tables.load(memory)
    pandas.testing.assert_frame_equal(written, tables.load(data))
    for name in frame.columns:
        place = frame.columns.get_loc(name)
        written.iloc[0, place] = written.iloc[1, place]
        assert written[name].iloc[0] == written[name].iloc[1] == frame[name].iloc[1]
    # What NumPy can view was written where it lies, the rest is the frame's own.
    again = tables.load(bytes(memory))
    changed = {name for name in frame.columns if again[name].iloc[0] == again[name].iloc[1]}
    assert changed == {"int", "float", "small", "time", "zone", "delta", "category"}
    assert begin <= written["float"].to_numpy().ctypes.data < begin + len(memory)


class Leaves:
    def __reduce__(self):
        return exit, (3,)


@pytest.mark.parametrize("name", ["pickle", "cloudpickle"])
def test_a_value_that_calls_exit_when_it_is_loaded_is_an_error(name):
    with pytest.raises(RainException, match="SystemExit: 3"):
        codecs.decode_value(codecs.encode_value(Leaves(), name), name)
