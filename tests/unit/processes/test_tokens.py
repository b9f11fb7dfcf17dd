"""Tokens in files."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.deploy.pools.folder import PoolFolder
from rain.processes import own_credentials
from rain.processes.elsewhere.causes import cause_of


def test_a_token_that_comes_is_waited_for(tmp_path: Path) -> None:
    folder = PoolFolder("", tmp_path / "pools")
    found: list[str] = []
    waits = threading.Thread(target=lambda: found.append(own_credentials.token_to_come(folder.token)))
    waits.start()
    folder.admit("rain1-token")
    waits.join()
    assert found == ["rain1-token\n"]
    assert folder.token.stat().st_mode & 0o777 == 0o600


def test_one_that_does_not_come_is_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_credentials, "TOKEN_COMES_S", 0.05)
    folder = PoolFolder("", tmp_path / "pools")
    with pytest.raises(RainException, match=r"token is empty since 0\.05 s \(TOKEN_COMES_S\)") as raised:
        own_credentials.token_to_come(folder.token)
    assert "did not come up" in cause_of(str(raised.value))


def test_of_a_pool_that_is_closed_none_is_waited_for(tmp_path: Path) -> None:
    folder = PoolFolder("", tmp_path / "pools")
    folder.close()
    with pytest.raises(RainException, match="cannot be read: No such file"):
        own_credentials.token_to_come(folder.token)
    with pytest.raises(RainException, match="cannot be written: No such file"):
        folder.admit("rain1-token")
    assert not folder.token.exists()
