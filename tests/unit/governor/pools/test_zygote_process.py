"""The process of a zygote."""

from __future__ import annotations

from pathlib import Path

import rain
from rain.governor.pools.zygotes.process import ROOT


def test_an_interpreter_in_which_rain_is_not_installed_finds_it() -> None:
    assert Path(ROOT, "rain", "__init__.py").samefile(rain.__file__)
