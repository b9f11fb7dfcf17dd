"""Rain in Jupyter: live graphs of sessions, inspectors of data, magics.

``%load_ext rain.notebook`` registers the magics. A session, a client or a data instance as the last expression of a
cell needs no more than the extra ``rain[notebook]`` to be installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain.common.errors import RainException
from rain.notebook import displays

if TYPE_CHECKING:
    from rain.client.session import Session
    from rain.notebook.widget import SessionWidget

__all__ = ["load_ipython_extension", "unload_ipython_extension", "widget_of"]

displays.register()


def widget_of(session: Session) -> SessionWidget:
    """The live graph of a session, as an ipywidgets widget.

    Parameters
    ----------
    session : Session

    Returns
    -------
    SessionWidget
        Always the same one while the session is open; its `selected` is the task or object that was clicked last.

    Raises
    ------
    RainException
        If it is no session.

    Examples
    --------
    >>> with client.new_session("widget") as session:
    ...     widget_of(session).selected is None
    True
    """
    from rain.client.session import Session

    if not isinstance(session, Session):
        raise RainException(f"widget_of() takes a session, not {type(session).__name__} ({session!r})")
    found = displays.displays_of(session)
    found.given = True
    return found.live(session)


def load_ipython_extension(ip: Any) -> None:
    """What ``%load_ext rain.notebook`` calls.

    Parameters
    ----------
    ip : IPython.InteractiveShell
    """
    from rain.notebook import magics

    magics.load(ip)


def unload_ipython_extension(ip: Any) -> None:
    """What ``%unload_ext rain.notebook`` calls.

    Parameters
    ----------
    ip : IPython.InteractiveShell
    """
    from rain.notebook import magics

    magics.unload(ip)
