"""Clusters for tests with real processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rain import Client, Session


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
