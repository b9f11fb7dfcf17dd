"""Clusters for tests with real processes, and a look at what they leave behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rain import Client, Session
from tests.support.processes import Marked
from tests.support.waiting import until


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Marked]:
    """Marks what the test starts; at the end of the test nothing of it may live."""
    found = Marked()
    monkeypatch.setenv(found.mark, "1")
    yield found
    until(lambda: not found.processes(), f"all processes gone; there are {found.processes()}")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A cluster of one governor with two cpus, shared by a module's tests."""
    with Client.local(cpus=2) as client:
        yield client


@pytest.fixture
def session(client: Client) -> Iterator[Session]:
    """A session of the shared cluster."""
    with client.new_session("test") as session:
        yield session
