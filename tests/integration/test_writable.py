"""Loaded values may be written: each reader its own, and what a task writes is its own memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rain import Client, DataInstance, Input, RainWarning, Session, TaskException, pickled, remote
from rain.common.limits import MIB
from rain.common.spec import ObjectInfo
from rain.executor.python.tasks import _explain_read_only
from rain.objects import memory
from rain.objects.content_types.codecs import encode_to_file
from rain.objects.pickling.buffers import large_buffers
from rain.objects.readers import FileReader
from rain.objects.sink import Sink

COUNT = 4 * MIB  # of float64


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A cluster with memory to be declared, whose tasks follow each other in one executor."""
    config = tmp_path_factory.mktemp("config") / "governor.toml"
    config.write_text(f"[resources]\nmem = {1024 * MIB}\n")
    with Client.local(cpus=1, config=config) as client:
        yield client


@pytest.fixture
def session(client: Client) -> Iterator[Session]:
    with client.new_session("test") as session:
        yield session


@remote(auto_load=True, auto_encode="pickle")
def fill(ctx: Any, x: Any, by: float) -> tuple[float, float]:
    before = float(x.sum())
    x += by
    return before, float(x.sum())


def test_each_task_writes_to_pages_of_its_own(session: Session) -> None:
    given = pickled(np.zeros(COUNT))
    made = [fill(given, number) for number in (1, 2, 3)]
    assert session.run(*made) == [(0.0, number * COUNT) for number in (1, 2, 3)]


def test_a_function_gets_what_it_has_captured_anew_for_each_task(session: Session) -> None:
    given = pickled(np.zeros(100_000))

    @remote(auto_load=True, auto_encode="json")
    def count(ctx: Any, number: int) -> float:
        given[0] += 1  # type: ignore[index]
        return float(given[0])  # type: ignore[index]

    assert session.run(*[count(number) for number in range(3)]) == [1.0, 1.0, 1.0]


def test_what_a_task_has_written_is_gone_before_the_next_one_and_counted_to_it(session: Session) -> None:
    given = pickled(np.zeros(COUNT))  # 32 MiB
    mem = {"mem": 120 * MIB}
    ok = [fill(given, number, resources=mem) for number in range(4)]

    @remote(auto_load=True)
    def fail(ctx: Any, x: Any) -> None:
        x += 1
        raise ValueError(x.sum())

    session.run(*ok)
    failed = [fail(given, resources=mem) for _ in range(4)]
    for task in failed:
        with pytest.raises(TaskException, match="ValueError"):
            session.run(task)

    @remote(auto_load=True)
    def too_much(ctx: Any, x: Any) -> None:
        import time

        x += 1
        time.sleep(60)

    large = pickled(np.zeros(20 * MIB))  # 160 MiB
    with pytest.raises(TaskException, match=r"MiB of it are pages of its inputs that it has written\) and declared"):
        session.run(too_much(large, resources=mem))


def test_what_was_asked_for_read_only_says_so_when_it_is_written(session: Session) -> None:
    @remote(auto_encode="json")
    def write(ctx: Any, x: Input(load=True, writable=False), y: Input(load=True)) -> float:  # type: ignore[valid-type]
        y[0] = 5  # type: ignore[index]
        x[0] = 5  # type: ignore[index]
        return 0.0

    given, other = pickled(np.zeros(100_000)), pickled(np.zeros(100_000))
    with pytest.raises(TaskException) as caught:
        session.run(write(given, other))
    text = str(caught.value)
    assert "assignment destination is read-only" in text
    assert "read-only, because they were loaded with writable=False. To change one, load it with writable=True" in text
    assert caught.traceback[-1].path != Path(__file__)
    given, other = pickled(np.zeros(100_000)), pickled(np.zeros(100_000))
    with pytest.raises(ValueError, match="read-only"):
        write.local(given, other)
    assert fill.local(given, 1) == fill.local(given, 1) == (0.0, 100_000.0)


def test_clients_write_to_pages_of_their_own(client: Client) -> None:
    with client.new_session("test") as session:
        made = fill(pickled(np.zeros(100_000)), 1)
        made.keep_outputs()
        kept = remote(auto_load=True, auto_encode="pickle")(lambda ctx, x: x + 1)(pickled(np.zeros(100_000)))
        kept.keep_outputs()
        session.submit()
        session.wait_all()
        found = kept.output.fetch()
        first, second = found.load(), found.load()
        first += 1
        assert second[0] == found.load()[0] == 1
        assert first[0] == 2
        assert not found.load(writable=False).flags.writeable
        shared = found.load(cache=True)
        shared[0] = 7
        assert found.load(cache=True)[0] == 7
    with pytest.warns(RainWarning, match="is gone since it was first mapped"):
        late = found.load()
    assert not late.flags.writeable
    assert late[0] == 1


def there_and_back(value: Any, path: Path) -> Any:
    """`value` as it is loaded where its file is mapped."""
    written: Any = encode_to_file(value, "pickle", Sink(str(path)))
    assert large_buffers(path.read_bytes())
    return DataInstance(FileReader(written), None, ObjectInfo(written.size, content_type="pickle")).load()


def test_data_frames_can_be_changed_in_place(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    count = 50_000
    frame = there_and_back(pandas.DataFrame({
        "i": np.arange(count), "n": np.full(count, np.nan), "t": pandas.date_range("2020", periods=count, freq="s"),
        "c": pandas.Categorical(["a", "b"] + ["a"] * (count - 2)),
    }), tmp_path / "frame")  # fmt: skip
    frame.iloc[0, 0] = 99
    frame.iloc[0, 2] = frame.iloc[1, 2]
    frame.loc[1, "c"] = "a"
    frame.fillna(0.0, inplace=True)
    assert frame["i"].tolist()[:2] == [99, 1]
    assert frame["t"].iloc[0] == frame["t"].iloc[1]
    assert frame["n"].sum() == 0
    assert set(frame["c"]) == {"a"}


def test_the_error_of_a_write_is_explained_also_where_it_is_only_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(text: str) -> BaseException:
        try:
            try:
                raise ValueError(text)
            except ValueError:
                raise AssertionError("Something has gone wrong") from None  # as pandas says of columns of times
        except AssertionError as error:
            return error

    monkeypatch.setattr(memory, "why_read_only", "it is so")
    explained, other = failed("assignment destination is read-only"), failed("something else")
    for error in (explained, other):
        _explain_read_only(error)
    assert "read-only, because it is so. To change one, load it" in explained.__notes__[0]
    assert not hasattr(other, "__notes__")
    monkeypatch.setattr(memory, "why_read_only", "")
    untold = failed("assignment destination is read-only")
    _explain_read_only(untold)
    assert not hasattr(untold, "__notes__")


def test_sparse_matrices_can_be_changed_in_place(tmp_path: Path) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    generator = np.random.default_rng(1)
    places = generator.integers(0, 400, 40_000), generator.integers(0, 400, 40_000)
    matrix = there_and_back(sparse.coo_matrix((np.ones(40_000), places), (400, 400)), tmp_path / "coo")
    matrix.sum_duplicates()
    matrix = there_and_back(
        sparse.csr_matrix((np.ones(40_000), np.arange(40_000)[::-1], [0, 40_000])), tmp_path / "csr"
    )
    matrix *= 2
    matrix.sort_indices()
    matrix.sum_duplicates()
    assert matrix.indices[0] == 0
    assert matrix.sum() == 80_000


@pytest.mark.soak
def test_models_can_be_trained_on(tmp_path: Path) -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    network = pytest.importorskip("sklearn.neural_network")
    points = np.random.default_rng(1).normal(size=(1000, 2000))
    centers = there_and_back(cluster.MiniBatchKMeans(10, n_init=1).partial_fit(points), tmp_path / "centers")
    centers.partial_fit(points)
    model = network.MLPRegressor(hidden_layer_sizes=(20,), warm_start=True, max_iter=2).fit(
        points[:, :1000], points[:, 0]
    )
    again = there_and_back(model, tmp_path / "model")
    before = again.coefs_[0].copy()
    again.fit(points[:, :1000], points[:, 0])
    assert not np.array_equal(again.coefs_[0], before)
