"""The check whether a task runs here, on a private cluster of one cpu."""

from __future__ import annotations

import time

from rain.client.client import Client
from rain.common.errors import RainException
from rain.common.formatting import duration_text
from rain.deploy.checkup.finding import Finding, failure

SUM = 55


def trial() -> Finding:
    """Start a cluster, run one task, end it."""
    begin = time.monotonic()
    try:
        with Client.local(cpus=1) as client, client.new_session("doctor") as session:
            result = session.call(sum, list(range(11))).result()
    except (RainException, OSError, TimeoutError) as error:
        return failure("a task", f"did not run: {error}", "see the lines above, and the logs that the error names")
    if result != SUM:
        return failure(
            "a task", f"returned {result} instead of {SUM}", "report it to the maintainers, with these lines"
        )
    return Finding("a task", f"ran; cluster, task and result took {duration_text(time.monotonic() - begin)}")
