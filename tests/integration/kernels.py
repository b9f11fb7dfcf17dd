"""A real kernel, and what its cells showed."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.manager import KernelManager

from tests.support.waiting import GUARD_S


@dataclass
class Shown:
    """What one cell showed.

    Attributes
    ----------
    id : str
        Of the message that asked for it.
    messages : list of dict
        All that named it as their parent, in order.
    reply : dict
        Content of the reply.
    """

    id: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)

    def text(self, stream: str = "stdout") -> str:
        """What it printed."""
        return "".join(
            m["content"]["text"] for m in self.messages if m["msg_type"] == "stream" and m["content"]["name"] == stream
        )

    @property
    def result(self) -> str:
        """Its last expression as text."""
        found = [m["content"]["data"]["text/plain"] for m in self.messages if m["msg_type"] == "execute_result"]
        return found[-1] if found else ""

    @property
    def displayed(self) -> list[dict[str, Any]]:
        """Bundles that were displayed."""
        return [m["content"]["data"] for m in self.messages if m["msg_type"] == "display_data"]

    @property
    def error(self) -> str:
        """The traceback, without colours."""
        found = [m["content"] for m in self.messages if m["msg_type"] == "error"]
        return "\n".join(found[-1]["traceback"]) if found else ""

    @property
    def error_name(self) -> str:
        """The exception's class."""
        found = [m["content"] for m in self.messages if m["msg_type"] == "error"]
        return str(found[-1]["ename"]) if found else ""


class Kernel:
    """A kernel of this interpreter."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._shown: dict[str, Shown] = {}

    def start(self, code: str, allow_stdin: bool = True) -> Shown:
        """Ask for a cell, and do not wait for it; `allow_stdin` says that somebody could answer questions."""
        shown = Shown(self._client.execute(code, allow_stdin=allow_stdin))
        self._shown[shown.id] = shown
        return shown

    def run(self, code: str, allow_stdin: bool = True) -> Shown:
        """Run a cell; an error in it is one of the result."""
        shown = self.start(code, allow_stdin)
        self.finish(shown)
        return shown

    def good(self, code: str, allow_stdin: bool = True) -> Shown:
        """Run a cell that must not fail."""
        shown = self.run(code, allow_stdin)
        assert not shown.error, shown.error
        return shown

    def finish(self, shown: Shown) -> None:
        """Wait for the end of a cell."""
        deadline = time.monotonic() + GUARD_S
        while not shown.reply:
            message = self._client.get_shell_msg(timeout=deadline - time.monotonic())
            found = self._shown.get(message["parent_header"].get("msg_id", ""))
            if found is not None:
                found.reply = message["content"]
        self.until(lambda: any(_is_idle(message) for message in shown.messages), "the cell is idle")

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Take messages until `condition()` holds."""
        deadline = time.monotonic() + GUARD_S
        while not condition():
            assert time.monotonic() < deadline, f"not within {GUARD_S} s: {what}"
            try:
                message = self._client.get_iopub_msg(timeout=1.0)
            except queue.Empty:
                continue
            found = self._shown.get(message["parent_header"].get("msg_id", ""))
            if found is not None:
                found.messages.append(message)

    def complete(self, code: str) -> list[str]:
        """What the end of `code` may become: whole texts."""
        reply = self._client.complete(code, reply=True, timeout=GUARD_S)["content"]
        return [code[: reply["cursor_start"]] + match for match in reply["matches"]]

    def help(self, code: str) -> str:
        """The help that a front end shows for `code`."""
        reply = self._client.inspect(code, reply=True, timeout=GUARD_S)["content"]
        return str(reply["data"].get("text/plain", ""))


def _is_idle(message: dict[str, Any]) -> bool:
    return message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"


@contextmanager
def kernel(killed: bool = False) -> Iterator[Kernel]:
    """A new kernel; it ends with the block, perhaps without a chance to tidy up."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=GUARD_S)
        found = Kernel(client)
        found.good("%colors NoColor\n%load_ext rain.notebook")
        yield found
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=killed)
