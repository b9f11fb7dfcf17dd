"""Displays of sessions, clients, tasks and data in a notebook, and what stays of them without a kernel.

Theory of operation
-------------------
A display is an output with the last picture, its time and a line of text, and beside them the name of a widget under a
MIME type of our own (`LiveWidget.bundle`). A page whose widgets work has a renderer for that type, added by
``frontend/src/renderer.ts``, and shows the widget while its kernel lives; everything else (a page without kernel, a
code host, nbconvert) shows the picture. So what is saved is right at every moment, whatever happens next. The page
keeps the picture in the output up to date.

When a session ends, all its displays are replaced by the final picture, without the widget. Where no browser has shown
the widget yet (its server lacks anywidget, or no page is open), the kernel brings the picture up to date after each
cell. A program that runs a notebook (nbconvert, nbclient) gets no widgets at all.
"""

from __future__ import annotations

import logging
import threading
import uuid
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rain.client.handles import inside, record_of, session_of
from rain.client.stale.edited import refresh
from rain.common.errors import RainException
from rain.common.jupyter import display_hooks
from rain.notebook.jupyter_quirks import is_headless, shell_with_kernel

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.data import DataObject
    from rain.client.session import Session
    from rain.client.task import Task
    from rain.deploy.pools.pool import Pool
    from rain.notebook.widget import SessionWidget
    from rain.notebook.widget_base import LiveWidget
    from rain.objects.data_instance import DataInstance

DOT_S_MAX = 2.0
"""How long the program ``dot`` may take for a final picture."""
CLOSE_S = 10.0
"""How long a widget stays after its display was replaced by the final picture."""
FIRST_RECORDS_MAX = 2_000
"""Sessions with more tasks and objects get their first picture when there is time."""

_log = logging.getLogger(__name__)

_HTML, _TEXT = "text/html", "text/plain"


class SessionDisplays:
    """The displays of one session."""

    def __init__(self, session: Session) -> None:
        self.session = weakref.ref(session)
        self.widget: SessionWidget | None = None
        self.given = False  # whether the widget is in the user's hands too
        self._drawn: dict[str, tuple[Any, ...]] = {}  # id of a display -> what its picture shows
        self._fresh: set[str] = set()  # displays of the cell that runs

    def live(self, session: Session) -> SessionWidget:
        """The session's widget, made when it is first needed."""
        if self.widget is None:
            from rain.notebook.widget import SessionWidget

            self.widget = SessionWidget(session)
        return self.widget

    def show(self, session: Session) -> None:
        """Display it once more."""
        widget = self.live(session)
        id = uuid.uuid4().hex
        if not session.active:
            _display(widget.final(DOT_S_MAX), id)
            return
        self._fresh.add(id)
        if len(inside(session).mirror.records) > FIRST_RECORDS_MAX:
            self._drawn[id] = ()
            _display(_with_view(widget, {_TEXT: repr(session)}), id)
        else:
            self._drawn[id] = _stamp(widget)
            _display(_present(widget), id)
        if not session.active:  # it has ended meanwhile
            _update(widget.final(DOT_S_MAX), id)

    def refresh(self) -> None:
        """After a cell: bring the pictures of a session up to date that no browser shows.

        What was displayed by this very cell is left alone where a browser may be about to show it.
        """
        headless = _is_headless()
        fresh, self._fresh = set() if headless else self._fresh, set()
        widget, session = self.widget, self.session()
        if session is not None and session.active:
            refresh(session)  # a function may have been edited
        if widget is None or session is None or widget.seen or not self._drawn.keys() - fresh or not session.active:
            return
        if headless or widget.behind <= FIRST_RECORDS_MAX:
            self._redraw(widget, fresh)
        else:  # the prompt does not wait for it
            threading.Thread(target=self._redraw, args=(widget, fresh), name="rain-redraw", daemon=True).start()

    def _redraw(self, widget: SessionWidget, fresh: set[str]) -> None:
        stamp = _stamp(widget)
        old = [id for id, drawn in self._drawn.items() if drawn != stamp and id not in fresh]
        bundle = _present(widget) if old else {}
        for id in old:
            if id in self._drawn:  # it has not ended meanwhile
                self._drawn[id] = stamp
                _update(bundle, id)

    def over(self) -> None:
        """The session is over. The thread that closes it waits for its picture, the client's thread does not."""
        if threading.current_thread() is threading.main_thread():
            self.freeze()
        else:
            threading.Thread(target=self.freeze, name="rain-freeze").start()

    def freeze(self) -> None:
        """Leave the final picture of the session in all its displays."""
        widget, ids = self.widget, list(self._drawn)
        if widget is None or not ids:
            return
        self._drawn, self.widget = {}, None
        try:
            bundle = widget.final(DOT_S_MAX)
            for id in ids:
                _update(bundle, id)
            # A page that was loaded again knows no ids of displays any more.
            widget.push("final", bundle)
            if not self.given:
                # A browser may be just about to show it, and complains if it goes meanwhile.
                timer = threading.Timer(CLOSE_S, widget.close)
                timer.daemon = True
                timer.start()
        except Exception:  # a picture is not worth that the session's end fails
            _log.warning("the final picture of %r could not be made", self.session(), exc_info=True)


def _stamp(widget: SessionWidget) -> tuple[Any, ...]:
    """What a picture is drawn of."""
    told, _ = widget.present()
    return told.topology.number, tuple(sorted(told.summary.tasks.items()))


_displays: weakref.WeakKeyDictionary[Session, SessionDisplays] = weakref.WeakKeyDictionary()


def displays_of(session: Session) -> SessionDisplays:
    """The displays of `session`."""
    found = _displays.get(session)
    if found is None:
        found = _displays[session] = SessionDisplays(session)
        inside(session).at_end.append(found.over)
    return found


def refresh_all() -> None:
    """After a cell: bring pictures up to date that no browser shows."""
    for found in list(_displays.values()):
        try:
            found.refresh()
        except Exception:  # the other sessions go on, and so does the user's next cell
            _log.exception("a session's displays could not be brought up to date")


# -- what IPython calls ----------------------------------------------------------------------------


def show_session(session: Session) -> None:
    """Display a session as its live graph."""
    _check_kernel()
    displays_of(session).show(session)


def show_client(client: Client) -> None:
    """Display a client as its card."""
    _check_kernel()
    from rain.notebook.widget import ClientWidget

    show_widget(ClientWidget(client))


def show_pools(pools: Sequence[Pool]) -> None:
    """Display pools as boxes of their places."""
    _check_kernel()
    from rain.notebook.places.widget import PoolsWidget

    show_widget(PoolsWidget(pools))


def show_instance(instance: DataInstance) -> None:
    """Display a data instance as its inspector."""
    _check_kernel()
    from rain.notebook.inspectors import Inspection
    from rain.notebook.widget import InspectorWidget

    show_widget(InspectorWidget(Inspection(lambda: instance), _plain().still_of(instance)))


def show_object(obj: DataObject) -> None:
    """Display a data object: as its inspector if one can look into it, else what is known of it."""
    from rain.notebook.details import inspection_of, why_not_open

    _check_kernel()
    if why_not_open(session_of(obj), record_of(obj)) is not None:
        _display({_HTML: _plain().html_of_object(obj), _TEXT: repr(obj)}, None)
        return
    from rain.notebook.widget import REQUEST_S, InspectorWidget

    try:
        still = _plain().still_of(obj._session._peek(obj))
    except RainException:  # the inspector will say it
        still = {_TEXT: repr(obj)}
    show_widget(InspectorWidget(inspection_of(obj, REQUEST_S), still))


def show_task(task: Task) -> None:
    """Display a task: its state, times, inputs, outputs and error."""
    _display({_HTML: _plain().html_of_task(task), _TEXT: _plain().text_of_task(task)}, None)


def _plain() -> Any:
    """What is imported when something is first shown."""
    from rain.notebook import plain_forms

    return plain_forms


def show_widget(widget: LiveWidget, id: str | None = None) -> None:
    """Display a widget; `id` is that of the display, for `update_widget`."""
    _display(_present(widget), id)


def update_widget(widget: LiveWidget, id: str, still: dict[str, Any] | None = None) -> None:
    """Bring the display of a widget up to date that no browser shows, to `still` if that is given."""
    _update(_present(widget) if still is None else _with_view(widget, still), id)


def _present(widget: LiveWidget) -> dict[str, Any]:
    """A widget's bundle; where a program runs the notebook only what is read without a kernel, and without the time."""
    return widget.still(timed=False) if _is_headless() else widget.bundle()


def _with_view(widget: LiveWidget, still: dict[str, Any]) -> dict[str, Any]:
    """`still`, beside the widget unless a program runs the notebook."""
    return still if _is_headless() else widget.bundle(still)


def _is_headless() -> bool:
    shell = shell_with_kernel()
    return shell is not None and is_headless(shell.kernel)


def _check_kernel() -> None:
    """Whether there is a front end that can show more than text.

    Raises
    ------
    NotImplementedError
        If this is a terminal.
    """
    if shell_with_kernel() is None:
        raise NotImplementedError


def _display(bundle: dict[str, Any], id: str | None) -> None:
    import IPython.display

    show: Any = IPython.display.display
    show(bundle, raw=True, **({} if id is None else {"display_id": id}))


def _update(bundle: dict[str, Any], id: str) -> None:
    import IPython.display

    update: Any = IPython.display.update_display
    update(bundle, raw=True, display_id=id)


def register() -> None:
    """Have IPython show sessions, clients, tasks and data in this way."""
    shell = shell_with_kernel()
    if shell is not None:
        shell.events.register("post_run_cell", lambda _result: refresh_all())
    display_hooks.register("session", show_session, lambda item: _plain().html_of_session(item))
    display_hooks.register("client", show_client, lambda item: _plain().html_of_client(item))
    display_hooks.register("pools", show_pools, lambda item: _plain().html_of_pools(item))
    display_hooks.register("instance", show_instance, lambda item: _plain().html_of_instance(item))
    display_hooks.register("object", show_object, lambda item: _plain().html_of_object(item))
    display_hooks.register("task", show_task, lambda item: _plain().html_of_task(item))
