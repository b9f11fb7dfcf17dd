"""Which process listens on a port."""

from __future__ import annotations

import os
import socket

import pytest

from rain.host.network.listening import listener_on


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_process_that_listens_is_found_among_those_that_are_asked_about(family: socket.AddressFamily) -> None:
    with socket.socket(family) as listener:
        listener.bind(("127.0.0.1" if family is socket.AF_INET else "::1", 0))
        port = listener.getsockname()[1]
        assert listener_on(port, [os.getpid()]) is None  # bound, and not listening yet
        listener.listen()
        assert listener_on(port, [1 << 30, os.getpid()]) == os.getpid()
        assert listener_on(port, [os.getppid()]) is None
    assert listener_on(port, [os.getpid()]) is None
