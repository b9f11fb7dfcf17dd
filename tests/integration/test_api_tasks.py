"""What the API says on tasks: builtin tasks, programs, remote Python; with odd inputs, on a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rain import (
    Client,
    DataInstance,
    directory,
    remote,
)


@pytest.fixture(scope="module")
def one_cpu() -> Iterator[Client]:
    """A cluster whose tasks follow each other in one executor."""
    with Client.local(cpus=1) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a small file, a large one, and an empty directory."""
    top = tmp_path / "top"
    (top / "inner" / "empty").mkdir(parents=True)
    (top / "inner" / "small").write_text("S")
    (top / "large").write_bytes(b"L" * 200_000)
    return top


# -- remote Python ---------------------------------------------------------------------------------


def test_links_are_made_after_a_task_that_left_nothing(one_cpu: Client, folder: Path) -> None:
    @remote()
    def look(ctx, given: DataInstance) -> bytes:
        return b"looked"

    @remote()
    def link(ctx, given: DataInstance) -> bytes:
        given.link("linked")
        with pytest.raises(PermissionError):
            Path("linked/inner/small").write_text("spoilt")
        return Path("linked/inner/small").read_bytes()

    with one_cpu.new_session("links") as session:
        given = directory(folder)
        for _ in range(2):
            assert session.run(look(given)) == b"looked"
            assert session.run(link(given)) == b"S"
