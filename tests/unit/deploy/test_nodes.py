"""Host files and lists of governors."""

from __future__ import annotations

import pytest

from rain.common.errors import RainException
from rain.deploy.nodes import parse_host_file, parse_local_governors


def test_local_governors():
    assert parse_local_governors("[4,4,2]") == [4, 4, 2]
    assert parse_local_governors("[]") == []
    for wrong in ("4", "[0]", "[-1]", '["a"]', "[true]", "4,4", "[1.5]", ""):
        with pytest.raises(RainException, match="is a list of cpus like"):
            parse_local_governors(wrong)


@pytest.mark.parametrize("wrong", ["-oProxyCommand=evil", "a b", "$(x)", "a;b"])
def test_a_host_cannot_be_an_option_or_a_command(wrong):
    with pytest.raises(RainException, match="is not a host"):
        parse_host_file(f"good\n{wrong}\n")


def test_an_empty_host_file():
    with pytest.raises(RainException, match="names no host"):
        parse_host_file("# nobody\n\n")
