"""Widgets without a kernel: a comm that remembers what was sent."""

from __future__ import annotations

import queue
from itertools import count
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm

from tests.support.waiting import GUARD_S

NUMBERS = count(1)
"""Of requests; no two pages use the same ones."""


class Browser:
    """The other side of one widget's comm: asks, and gets answers and news."""

    def __init__(self, widget: Any) -> None:
        self.widget = widget
        self.messages: queue.Queue[dict[str, Any]] = widget.comm.sent
        self.news: list[dict[str, Any]] = []

    def say(self, content: Any) -> None:
        self.widget._handle_custom_msg(content, [])

    def ask(self, type: str, **parameters: Any) -> Any:
        """The data of the answer; an error is an AssertionError with its text."""
        number = next(NUMBERS)
        self.say({"type": type, "request": number, **parameters})
        while True:
            message = self.messages.get(timeout=GUARD_S)
            if message["type"] == "push":
                self.news.append(message)
            elif message["request"] == number:
                assert "error" not in message, message["error"]
                self.buffers = message["buffers"]
                return message["data"]

    def refused(self, type: str, **parameters: Any) -> str:
        """The text of the error that the question gets."""
        with pytest.raises(AssertionError) as caught:
            self.ask(type, **parameters)
        return str(caught.value).split("\nassert")[0]

    def wait_for(self, wanted: Any) -> dict[str, Any]:
        """The first news of which `wanted` is true."""
        while True:
            for message in self.news:
                if wanted(message["data"]):
                    return message["data"]
            message = self.messages.get(timeout=GUARD_S)
            if message["type"] == "push":
                self.news.append(message)


class RememberingComm(BaseComm):
    """Custom messages that were sent, in order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.sent: queue.Queue[dict[str, Any]] = queue.Queue()
        super().__init__(*args, **kwargs)

    def publish_msg(
        self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
    ) -> None:
        if msg_type == "comm_msg" and data.get("method") == "custom":
            self.sent.put({**data["content"], "buffers": buffers or []})


@pytest.fixture(autouse=True)
def _comms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comm, "create_comm", RememberingComm)


@pytest.fixture
def browser() -> type[Browser]:
    return Browser
