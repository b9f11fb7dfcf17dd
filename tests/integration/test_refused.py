"""What a function returned is not lost because it cannot be encoded as was declared."""

from __future__ import annotations

import asyncio

import numpy
import pandas
import pytest

from rain import Output, RainException, Session, TaskException, remote
from tests.support.waiting import until


def returned(task, number: int = 0):
    return task.fetch_refused()[number].load()


def test_what_was_refused_is_fetched_from_the_error(session: Session) -> None:
    @remote(outputs=[Output("table", encode="arrow"), Output("array", encode="pickle"), Output("none", encode="json")])
    def make(ctx, good: bool):
        mixed = pandas.DataFrame({"x": [1, 2.5 if good else "text"]}, dtype=None if good else object)
        return mixed, numpy.arange(100_000), None

    @remote(auto_load=True, auto_encode="json")
    def use(ctx, array):
        return int(array.sum())

    task = make(False)
    after = use(task.outputs["array"])
    session.submit()
    with pytest.raises(TaskException) as caught:
        task.wait()
    text = str(caught.value)
    assert "cannot be encoded as 'arrow'" in text
    assert '"pickle"' in text
    assert "what it returned is not lost: task.fetch_refused()" in text
    found = caught.value.task.fetch_refused()
    assert list(found.labels) == ["table", "array"]
    assert found["table"].load().equals(pandas.DataFrame({"x": [1, "text"]}, dtype=object))
    assert found["array"].content_type == "pickle"
    numpy.testing.assert_equal(found["array"].load(), numpy.arange(100_000))
    for other in (task.outputs["array"].wait, after.wait):
        with pytest.raises(TaskException):
            other()
    with pytest.raises(RainException, match="nothing to fetch"):
        after.fetch_refused()

    # It goes when the task runs again, or is forgotten, and the store with it.
    def held() -> set:
        return {id for governor in session.client.get_server_info()["governors"] for id in governor["objects"]}

    ids = {output.id for output in task.outputs}
    assert ids & held()

    session.forget()
    with pytest.raises(RainException, match="is gone: it stays until the task is retried or forgotten"):
        task.fetch_refused()
    until(lambda: not ids & held(), "what was refused is dropped")

    one = remote(lambda ctx: {1, 2}, auto_encode="json")()
    session.submit()
    session.wait_all(raise_on_failure=False)
    assert returned(one) == {1, 2}
    assert asyncio.run(one.fetch_refused_async())[0].load() == {1, 2}
    session.retry()
    session.wait_all(raise_on_failure=False)
    assert returned(one) == {1, 2}
