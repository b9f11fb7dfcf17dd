"""Many large values at once: no descriptor is held for any of them, and tasks have the limit of who started Rain."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rain import Client, pickled, remote, tasks


@pytest.fixture
def few_files() -> Iterator[int]:
    """A soft limit of open files that is soon reached."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = max(map(int, os.listdir("/proc/self/fd"))) + 150
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield soft
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_more_large_values_than_files_may_be_open(few_files: int) -> None:
    soft = few_files

    @remote(auto_encode="pickle", auto_load=True)
    def make(ctx: Any, number: int, given: Any = None) -> Any:
        return np.full(10_000, number)

    @remote(auto_encode="json")
    def limits(ctx: Any) -> list[int]:
        import resource

        return list(resource.getrlimit(resource.RLIMIT_NOFILE))

    with Client.local(cpus=2) as client, client.new_session("files") as session:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        program = tasks.Execute(["sh", "-c", "ulimit -Sn"], stdout=True)
        assert session.run(limits(), program) == [[soft, hard], f"{soft}\n".encode()]

        constants = [pickled(np.full(10_000, number)) for number in range(soft + 50)]
        made = [make(number, constant) for number, constant in enumerate(constants)]
        for task in made:
            task.keep_outputs()
        session.submit()
        session.wait_all()
        found = [task.output.fetch() for task in made]
        arrays = [one.load() for one in found] + [one.load(writable=False) for one in found]
        assert [int(array[-1]) for array in arrays] == [*range(soft + 50)] * 2

        taken = []
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(open("/dev/null"))  # noqa: SIM115
        late = found[7].load()
        late += 1
        assert late[0] == 8
        last = make(5, pickled(np.zeros(10_000)))
        last.keep_outputs()
        session.submit()
        assert last.output.fetch().load()[0] == 5
        for file in taken:
            file.close()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == soft
