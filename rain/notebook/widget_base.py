"""Widgets that talk with their part in the browser: requests, answers, updates.

Theory of operation
-------------------
The browser's requests arrive on a subshell's thread (or the main thread of older front ends), which must return at
once: each is answered by a thread of its own, so that a slow one does not hold up the others. A page says again what
has had no answer for a while (`rain.notebook.repeats`). Updates are sent by one thread for all widgets, the pump: 20
times a second at most, less often while changes do not stop, and when there are so many that folding would take a
noticeable share of the kernel's time.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import msgspec
import traitlets

from rain.common.errors import RainException
from rain.common.protocol.encoding import sendable
from rain.notebook import assets, jupyter_quirks
from rain.notebook.protocol.requests import ONCE, Done, GetAsset, GetPicture, Picture, Request, request_of
from rain.notebook.repeats import Repeats

REQUESTS_MAX = 32
"""Requests of one widget that are answered at the same time."""
PERIOD_S = 0.05
PERIOD_S_MAX = 0.2
"""The pause while changes do not stop: each update costs the browser too, on what is perhaps the same machine."""
SHARE_MAX = 0.05
"""Of the kernel's time at most so much goes into updates."""
PAUSE_S_MAX = 1.0

VIEW = "application/vnd.rain.view+json"
HTML, PDF, TEXT = "text/html", "application/pdf", "text/plain"

_log = logging.getLogger(__name__)

Answer = tuple[msgspec.Struct, Sequence[bytes]] | msgspec.Struct | None
"""What a request gets, with what comes beside it; None: it has been done."""
Handler = Callable[[Any], Answer]


class LiveWidget(anywidget.AnyWidget):
    """A widget whose browser side is `rain/notebook/static/`; see ``docs/notebook.md``."""

    _model_module_version = traitlets.Unicode(jupyter_quirks.ANY_VERSION).tag(sync=True)
    _view_module_version = traitlets.Unicode(jupyter_quirks.ANY_VERSION).tag(sync=True)
    kind = traitlets.Unicode().tag(sync=True)
    build = traitlets.Unicode().tag(sync=True)

    def __init__(self, kind: str) -> None:
        self._esm = assets.loader()
        self._handlers: dict[type[Request], Handler] = {
            GetAsset: lambda asked: (Done(), [assets.asset(asked.name)]),
            GetPicture: lambda _: Picture(self.model_id, self.still()),
        }
        self._places = threading.BoundedSemaphore(REQUESTS_MAX)
        self._repeats = Repeats()
        super().__init__(kind=kind, build=assets.build())
        self.on_msg(self._received)
        jupyter_quirks.answer_on_the_named_subshell(self.comm)

    def still(self, timed: bool = True) -> dict[str, Any]:
        """What is to be seen of it where there is no kernel, by MIME type.

        Parameters
        ----------
        timed : bool
            Whether it says of what time it is; what is made for comparison does not.
        """
        return {TEXT: repr(self)}

    def bundle(self, still: dict[str, Any] | None = None) -> dict[str, Any]:
        """What a cell's output is given to show it: live while page and kernel can, else as `still` says.

        No type of ipywidgets is in it: Jupyter shows an error in the place of a widget whose kernel has gone. `VIEW` is
        a type of our own. A front end that does not know it takes the next best; in pages that know it the loader has
        added a renderer.
        """
        return {VIEW: {"model_id": self.model_id}, **(self.still() if still is None else still)}

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.bundle(), {}

    # -- requests -------------------------------------------------------------------------------

    def _received(self, _widget: Any, content: Any, buffers: Any) -> None:
        """A message of the browser: anything may come."""
        number = content.get("request") if isinstance(content, dict) else None
        if not isinstance(number, int):
            return
        new, said = self._repeats.take(number, time.monotonic())
        if said is not None:
            self._say(said)
        if not new:
            return
        if not self._places.acquire(blocking=False):
            self._repeats.forget(number)
            self._say(_reply(number, error=f"too much is asked at once (REQUESTS_MAX is {REQUESTS_MAX}); try again"))
            return
        threading.Thread(target=self._answer, args=(number, content), name="rain-answer", daemon=True).start()

    def _answer(self, number: int, content: dict[str, Any]) -> None:
        pieces: Sequence[bytes] = ()
        asked: Request | None = None
        try:
            asked = request_of(content)
            handle = self._handlers.get(type(asked))
            if handle is None:
                raise RainException(f"a widget of the kind {self.kind!r} has no request {content['type']!r}")
            answer = handle(asked)
            data, pieces = answer if isinstance(answer, tuple) else (answer or Done(), ())
            reply = _reply(number, data=data)
        except (RainException, TimeoutError) as error:
            reply = _reply(number, error=str(error))
        except Exception as error:  # the browser must not wait for ever, whatever is wrong here
            reply = _reply(number, error=f"{type(error).__name__}: {error}")
        finally:
            self._places.release()
        self._repeats.answered(number, reply if type(asked) in ONCE else None, time.monotonic())
        self._say(reply, pieces)

    def push(self, event: str, data: Any) -> None:
        """Tell all views something: one of `rain.notebook.protocol.requests.NEWS`."""
        self._say(_made({"type": "push", "event": event, "data": data}))

    def _say(self, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        if self.comm is not None:  # not closed meanwhile
            self.send(content, list(buffers) or None)


def _reply(number: int, **what: Any) -> dict[str, Any]:
    return _made({"type": "reply", "request": number, **what})


def _made(content: dict[str, Any]) -> dict[str, Any]:
    """What JSON can carry, and what can be text."""
    made: dict[str, Any] = sendable(msgspec.to_builtins(content))
    return made


# -- the pump --------------------------------------------------------------------------------------


class Pump:
    """One thread that brings forward the widgets that have something new.

    `wake` takes a callable without arguments, kept weakly as a method of its object.
    """

    def __init__(self) -> None:
        self._due: dict[weakref.WeakMethod[Any], None] = {}
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self, advance: weakref.WeakMethod[Any]) -> None:
        """Have `advance` called soon; returns at once, in any thread."""
        with self._lock:
            self._due[advance] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="rain-notebook", daemon=True)
                self._thread.start()
        self._event.set()

    def _run(self) -> None:
        period = PERIOD_S
        while True:
            if not self._event.is_set():
                period = PERIOD_S
            self._event.wait()
            self._event.clear()
            with self._lock:
                due, self._due = list(self._due), {}
            begin, used = time.monotonic(), time.thread_time()
            for reference in due:
                advance = reference()
                if advance is not None:
                    try:
                        advance()
                    except Exception:  # the other widgets go on
                        _log.exception("a widget could not be brought up to date")
                del advance
            spent, used = time.monotonic() - begin, time.thread_time() - used
            time.sleep(min(PAUSE_S_MAX, max(period - spent, used / SHARE_MAX)))
            period = min(PERIOD_S_MAX, 2 * period)


pump = Pump()
