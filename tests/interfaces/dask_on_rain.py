"""A plug-in for pytest: Dask's own tests, whatever scheduler they name, run on a cluster of Rain."""

from __future__ import annotations

import dask
import pytest
from dask.base import named_schedulers

import rain


@pytest.hookimpl(wrapper=True)
def pytest_sessionstart(session: pytest.Session) -> object:
    client = rain.Client.local(cpus=2)
    session.config.add_cleanup(client.close)
    for name in named_schedulers:
        named_schedulers[name] = rain.dask_get
    dask.config.set(scheduler=rain.dask_get)
    return (yield)
