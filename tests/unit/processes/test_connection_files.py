"""Connection files: private, complete, found by address, and refused when somebody else could have touched them."""

from __future__ import annotations

import os
import stat

import pytest

from rain.common.errors import RainException
from rain.net.auth import Certificate, Credentials
from rain.processes import connection_files, own_credentials, private_folders


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RAIN_TOKEN", raising=False)
    monkeypatch.setattr(own_credentials, "_token", None)
    return tmp_path / "rain"


def published(address="127.0.0.1:7210", **options):
    credentials = options.pop("credentials", None) or Credentials.generate()
    return connection_files.Published(address, "127.0.0.1:7222", credentials, **options), credentials


def test_written_private_and_read_back(folder):
    file, credentials = published(logdir="/logs")
    assert stat.S_IMODE(os.stat(file.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    found = connection_files.find("localhost:7210")
    assert (found.address, found.http, found.pid, found.logdir) == (
        "127.0.0.1:7210",
        "127.0.0.1:7222",
        os.getpid(),
        "/logs",
    )
    assert found.credentials.keys == credentials.keys
    assert os.listdir(folder) == ["7210.json"]


def test_the_certificate_goes_with_it():
    credentials = Credentials.generate()
    credentials.certificate = Certificate.generate()
    credentials.fingerprint = credentials.certificate.fingerprint
    file, _ = published("0.0.0.0:7210", credentials=credentials)
    found = connection_files.read(file.path).credentials
    assert found.certificate == credentials.certificate
    assert found.fingerprint == credentials.fingerprint
    found.certificate.context()


def test_a_loopback_or_wildcard_server_is_found_under_any_own_address():
    for address in ("127.0.0.1:7300", "0.0.0.0:7301"):
        published(address)
        port = address.rpartition(":")[2]
        for host in ("127.0.0.1", "localhost", "::1", os.uname().nodename):
            target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            assert connection_files.find(target).address == address
    assert connection_files.read(connection_files.default_path("0.0.0.0:7301")).reachable() == "127.0.0.1:7301"


def test_this_host_means_a_server_on_another_address_of_it_too(monkeypatch):
    monkeypatch.setattr(connection_files, "is_own_address", lambda host: host != "192.0.2.7")
    assert connection_files.listening_at("localhost:7300") == "localhost:7300"
    published("127.0.0.9:7300")
    published("192.0.2.7:7300")  # another machine's, which has left its file in a home that both have
    for host in ("localhost", "127.0.0.1", "[::1]"):
        assert connection_files.listening_at(f"{host}:7300") == "127.0.0.9:7300"
        assert connection_files.find(connection_files.listening_at(f"{host}:7300")).address == "127.0.0.9:7300"
    for same in ("localhost:7301", "192.0.2.8:7300", "127.0.0.9:7300"):
        assert connection_files.listening_at(same) == same
    published("10.0.0.3:7300")
    assert connection_files.listening_at("localhost:7300") == "localhost:7300", "which of the two is not clear"
    published("0.0.0.0:7300")
    assert connection_files.listening_at("localhost:7300") == "localhost:7300"


def test_another_machine_is_not_mistaken_for_this_one():
    published("127.0.0.1:7300")
    with pytest.raises(RainException, match=r"no server .* known at 192\.0\.2\.7:7300 .*RAIN_TOKEN"):
        connection_files.find("192.0.2.7:7300")


def test_a_stale_file_is_replaced_and_only_the_own_one_removed():
    old, _ = published()
    new, credentials = published()
    assert connection_files.read(new.path).credentials.keys == credentials.keys
    connection_files.write(
        connection_files.describe_server("127.0.0.1:7210", credentials, pid=os.getpid() + 1), new.path
    )
    old.remove()
    assert os.path.exists(new.path)
    published()[0].remove()
    assert not os.path.exists(new.path)


def test_a_server_under_a_guardian_takes_its_keys_over(tmp_path):
    path = tmp_path / "connection.json"
    before = Credentials.generate()
    connection_files.write(
        connection_files.describe_server("127.0.0.1:7210", before, guardian=7, guardian_start="8"), path
    )
    taken = own_credentials.server_credentials("127.0.0.1", path)
    assert taken.keys == before.keys
    file, _ = published(credentials=taken, path=path)
    found = connection_files.read(path)
    assert (found.guardian, found.guardian_start, found.pid) == (7, "8", os.getpid())
    file.remove()
    assert path.exists()


def test_beyond_loopback_there_is_a_certificate():
    assert own_credentials.server_credentials("127.0.0.1").certificate is None
    credentials = own_credentials.server_credentials("0.0.0.0")
    assert credentials.certificate.fingerprint == credentials.fingerprint


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_file_that_others_may_touch_is_refused(mode):
    file, _ = published()
    os.chmod(file.path, mode)
    with pytest.raises(RainException, match=f"open to other users .mode {mode:04o}.*chmod 600"):
        connection_files.find("localhost:7210")


def test_a_folder_that_others_may_touch_is_refused(folder):
    published()
    os.chmod(folder, 0o755)
    with pytest.raises(RainException, match=r"runtime folder .* open to other users"):
        connection_files.find("localhost:7210")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(folder):
    file, _ = published()
    os.chown(file.path, 12345, -1)
    with pytest.raises(RainException, match=r"belongs to another user \(uid 12345\)"):
        connection_files.find("localhost:7210")
    os.chown(folder, 12345, -1)
    with pytest.raises(RainException, match=r"runtime folder .* belongs to another user"):
        private_folders.runtime_dir()


def test_links_are_refused(folder, tmp_path):
    file, _ = published()
    os.rename(file.path, tmp_path / "elsewhere.json")
    os.symlink(tmp_path / "elsewhere.json", file.path)
    with pytest.raises(RainException, match="is a link"):
        connection_files.find("localhost:7210")
    published()  # and a link in the way of a new server is replaced, not followed
    assert not os.path.islink(file.path)
    os.rename(folder, tmp_path / "moved")
    os.symlink(tmp_path / "moved", folder)
    with pytest.raises(RainException, match=r"runtime folder .* is a link"):
        private_folders.runtime_dir()


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"version": "9", "address": "x", "keys": {"client": "!"}}'])
def test_what_is_no_connection_file_is_said_so(tmp_path, text):
    path = tmp_path / "connection.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(RainException, match="is not a connection file"):
        connection_files.read(path)


def test_a_missing_file_is_said_so(tmp_path):
    with pytest.raises(RainException, match=r"there is no connection file .*nothing"):
        connection_files.read(tmp_path / "nothing")


def test_the_token_leaves_the_environment_and_comes_before_the_file(monkeypatch):
    published()
    other = Credentials.generate()
    monkeypatch.setenv("RAIN_TOKEN", other.token("client"))
    assert own_credentials.credentials_for("localhost:7210", "client").keys == {"client": other.keys["client"]}
    assert "RAIN_TOKEN" not in os.environ
    assert own_credentials.credentials_for("localhost:7210", "client").keys == {"client": other.keys["client"]}
    with pytest.raises(RainException, match="role governor is needed"):
        own_credentials.credentials_for("localhost:7210", "governor")


def test_folders_that_are_given_are_made_private(tmp_path):
    made = private_folders.made_dir(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    (tmp_path / "file").write_text("")
    with pytest.raises(RainException, match="cannot make the folder"):
        private_folders.made_dir(tmp_path / "file" / "b")
