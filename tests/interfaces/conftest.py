"""A cluster for the tests of interfaces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rain import Client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A cluster of one governor with two cpus, shared by a module's tests."""
    with Client.local(cpus=2) as client:
        yield client
