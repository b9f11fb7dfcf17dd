"""What users read when their server does not come back."""

from __future__ import annotations

import pytest

from rain import Session, SessionException, blob, tasks
from rain.client.core import events as ev
from tests.unit.client.fake import FakeLink


def test_a_session_says_what_is_lost_with_its_server(link: FakeLink, session: Session) -> None:
    kept, done, waiting = (tasks.Concat([blob(str(number))]) for number in range(3))
    kept.keep_outputs()
    session.submit()
    link.finish(kept)
    link.finish(done)
    link.happens(ev.Gone("127.0.0.1:7210 was away for 300 s: nothing listens there"))
    with pytest.raises(SessionException) as caught:
        waiting.wait()
    text = str(caught.value)
    assert "is lost with its server: 127.0.0.1:7210 was away for 300 s: nothing listens there. Lost with it: " in text
    assert "Lost with it: 1 task that had not finished and 1 kept result whose data are not here. " in text
    assert text.endswith("Where a server is there again, attach() of a new Client takes up what it still has")


def test_a_session_of_which_nothing_is_lost_says_so(link: FakeLink, session: Session) -> None:
    link.happens(ev.Gone("gone"))
    with pytest.raises(SessionException, match="Nothing else is lost with it"):
        session.wait_all()
