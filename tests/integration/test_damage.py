"""Stored objects that are damaged or removed under the system are made again, whoever finds out; nobody reads them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rain import Client, Input, InputDir, OutputDir, Program, TaskException, blob, remote, tasks
from tests.support.waiting import GUARD_S

SIZE = 300_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Client]:
    with Client.local(cpus=2) as client:
        yield client


@remote()
def make(ctx: Any, mark: str) -> bytes:
    with open(mark, "a") as file:
        file.write("made\n")
    return b"x" * SIZE


@remote(outputs=[OutputDir("tree")])
def make_tree(ctx: Any, mark: str) -> Any:
    with open(mark, "a") as file:
        file.write("made\n")
    os.mkdir("d")
    for name in "ab":
        Path("d", name).write_bytes(b"x" * SIZE)
    return ctx.stage_directory("d")


def overwrite(path: Path) -> None:
    target = path if path.is_file() else path / "a"
    target.chmod(0o644)
    target.write_bytes(b"y" * SIZE)
    if path.is_dir():
        os.utime(path)


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def times(mark: Path) -> int:
    return len(mark.read_text().splitlines())


def stored(obj: Any) -> Path:
    """Where the governor has it."""
    return Path(obj._record.location.replicas[0].file.path)


@pytest.mark.parametrize("harm", [overwrite, remove])
@pytest.mark.parametrize("maker", [make, make_tree])
def test_the_first_fetch_waits_for_the_remake(
    cluster: Client, tmp_path: Path, harm: Callable[[Path], None], maker: Any
) -> None:
    mark = tmp_path / "mark"
    with cluster.new_session("fetch") as session:
        obj = maker(str(mark)).output
        obj.keep()
        session.submit()
        obj.wait()
        for turn in (2, 3):
            harm(stored(obj))
            found = obj.fetch()
            if found.reader.is_dir:
                found.write(tmp_path / f"copy{turn}")
                assert (tmp_path / f"copy{turn}" / "a").read_bytes() == b"x" * SIZE
            else:
                assert found.get_bytes() == b"x" * SIZE
            assert times(mark) == turn


def test_what_cannot_be_made_again_says_why(cluster: Client, tmp_path: Path) -> None:
    with cluster.new_session("once") as session:
        obj = make.options(rerun="never")(str(tmp_path / "mark")).output
        obj.keep()
        session.submit()
        obj.wait()
        remove(stored(obj))
        with pytest.raises(TaskException, match='rerun="never"'):
            obj.fetch().get_bytes()


# -- before a task runs ---------------------------------------------------------------------------


@remote(auto_encode="json")
def size_of(ctx: Any, data: Any) -> int:
    if data.reader.is_dir:
        data.link("copy")
        return sum(path.stat().st_size for path in Path("copy").rglob("*"))
    return len(data.get_bytes())


count = Program("cat in | wc -c", shell=True, input_paths=[Input("data", path="in")], stdout="size")
count_tree = Program("cat in/* | wc -c", shell=True, input_paths=[InputDir("data", path="in")], stdout="size")


@pytest.mark.parametrize("harm", [overwrite, remove])
@pytest.mark.parametrize(
    ("maker", "user", "expected"),
    [
        (make, size_of, SIZE),
        (make_tree, size_of, 2 * SIZE),
        (make, lambda obj: count(data=obj), SIZE),
        (make_tree, lambda obj: count_tree(data=obj), 2 * SIZE),
        (make_tree, lambda obj: size_of(tasks.SliceDirectory(obj, "a")), SIZE),
        (make, lambda obj: size_of(tasks.Concat([obj, blob(b"1")])), SIZE + 1),
    ],
)
def test_a_damaged_input_is_made_again(
    cluster: Client, tmp_path: Path, harm: Callable[[Path], None], maker: Any, user: Any, expected: int
) -> None:
    mark = tmp_path / "mark"
    with cluster.new_session("inputs") as session:
        obj = maker(str(mark)).output
        obj.keep()
        session.submit()
        obj.wait()
        harm(stored(obj))
        task = user(obj)
        task.keep_outputs()
        session.submit()
        found = task.output.fetch(timeout=GUARD_S)
        assert int(found.get_bytes()) == expected
        assert times(mark) == 2


# -- by tasks of an ordinary user -----------------------------------------------------------------


def run_as_user(folder: Path, **env: str) -> dict[str, list[Any]]:
    """The answers of `ordinary_user.py`, by scenario."""
    command = [sys.executable, "-m", "tests.integration.ordinary_user", str(folder)]
    if os.geteuid() == 0:
        # The same files, but no privileges, and another number.
        prefix = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
        if subprocess.run([*prefix, "true"], capture_output=True).returncode:
            pytest.skip("no user namespace can be made here, so root cannot play an ordinary user")
        command = [*prefix, *command]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, timeout=GUARD_S)
    assert done.returncode == 0, done.stderr
    return {name: rest for name, *rest in map(json.loads, done.stdout.splitlines())}


def may_make_user_namespaces() -> bool:
    return not subprocess.run(["unshare", "--user", "--map-root-user", "true"], capture_output=True).returncode


def test_an_ordinary_user_cannot_change_inputs(tmp_path: Path) -> None:
    if not may_make_user_namespaces():
        pytest.skip("this host allows no user namespaces")
    found = run_as_user(tmp_path)
    for name in ("program", "python"):
        error, intact = found[name]
        assert "Read-only file system" in error
        assert intact


def test_without_user_namespaces_a_change_is_noticed(tmp_path: Path) -> None:
    found = run_as_user(tmp_path, RAIN_USER_NAMESPACES="0")
    for name in ("program", "python"):
        error, intact = found[name]
        assert "was changed in the store" in error
        assert "so it did this" in error
        assert intact
    error, well = found["together"]
    assert "so it did this" in error or ("spoiler" in error and "reader" in error)
    assert well
