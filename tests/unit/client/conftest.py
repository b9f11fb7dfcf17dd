"""Sessions without a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rain import Session
from rain.client import active_session
from tests.unit.client.fake import FakeLink


@pytest.fixture(autouse=True)
def _no_default() -> Iterator[None]:
    yield
    active_session.set_default(None)


@pytest.fixture
def detached() -> Iterator[Session]:
    """A detached session, the active one."""
    session = Session(None, 1, "test")
    with session.bind_only():
        yield session


@pytest.fixture
def link() -> Iterator[FakeLink]:
    link = FakeLink()
    yield link
    link.client.close()


@pytest.fixture
def session(link: FakeLink) -> Iterator[Session]:
    """A session of a client with a fake link, the active one."""
    session = link.client.new_session("test")
    with session.bind_only():
        yield session
