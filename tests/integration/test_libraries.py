"""A governor whose libraries are other ones than the client's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest

from rain import Client, TaskException, remote
from rain.common.errors import RainWarning
from rain.host.libraries import installed_versions
from tests.support.waiting import until


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A cluster that takes the client for one on another host, and has an older pandas."""
    stand_in = tmp_path / "pandas-0.9.dist-info"
    stand_in.mkdir()
    (stand_in / "METADATA").write_text("Metadata-Version: 2.1\nName: pandas\nVersion: 0.9\n")
    for module in ("rain.client.functions.modules", "rain.client.report.libraries"):
        monkeypatch.setattr(f"{module}.host_id", lambda: "another-host")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Client.local(cpus=1) as client:
        monkeypatch.setattr(client._connection, "has_other_hosts", True)
        until(lambda: client._connection.core.libraries)
        yield client


def _imports(name: str) -> Any:
    @remote
    def work(ctx: Any) -> bytes:
        __import__(name)
        return b""

    return work()


def test_versions_are_shown_warned_of_and_told_after_a_failure(far: Client) -> None:
    here = installed_versions()
    assert here["pandas"] == pandas.__version__
    (governor,) = far.get_server_info()["governors"]
    assert governor["versions"] == here | {"pandas": "0.9"}
    with far.new_session("test") as session:
        task = _imports("pandas._of_the_newer_one")
        with pytest.warns(RainWarning, match=rf"pandas +{here['pandas']} +0\.9 +127\.0\.0\.1"):
            session.submit()
        with pytest.raises(TaskException, match=rf"pandas is {here['pandas']} here and 0\.9 on 127\.0\.0\.1"):
            task.wait()
        other = _imports("jax_of_nobody")
        session.submit()
        with pytest.raises(TaskException, match=r"jax_of_nobody is not installed on 127\.0\.0\.1"):
            other.wait()
