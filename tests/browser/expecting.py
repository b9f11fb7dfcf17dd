"""`expect` as Playwright's, for large pages.

Each time that Playwright looks for what is expected and does not find it yet, it describes the page, the tree of its
roles and names, in case this is the last time; with JupyterLab in it that is a tenth of a second of a cpu. To wait for
an element costs next to nothing. So here that comes first, and then Playwright judges, as a rule at first sight.
"""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import Error, Locator
from playwright.sync_api import TimeoutError as NotInTime
from playwright.sync_api import expect as judge

Text = str | re.Pattern[str]


class Expected:
    """What is expected of an element; all methods are Playwright's, and those that are not here are as they are there.

    Parameters
    ----------
    locator : Locator
    """

    def __init__(self, locator: Locator) -> None:
        self._locator = locator

    def __getattr__(self, name: str) -> Any:
        return getattr(judge(self._locator), name)

    def _judged(self, name: str, *arguments: Any, found: Locator, state: Any = "attached") -> None:
        """Let Playwright judge once `found` is in a state, or when it did not come into it in time."""
        in_time: dict[str, Any] = {}
        try:
            found.wait_for(state=state)
        except NotInTime:
            in_time = {"timeout": 1}
        except Error:
            pass  # more than one element, or a page that is gone: the judge says it better
        getattr(judge(self._locator), name)(*arguments, **in_time)

    def to_be_visible(self) -> None:
        self._judged("to_be_visible", found=self._locator, state="visible")

    def to_be_hidden(self) -> None:
        self._judged("to_be_hidden", found=self._locator, state="hidden")

    def to_be_attached(self) -> None:
        self._judged("to_be_attached", found=self._locator)

    def to_contain_text(self, text: Text) -> None:
        self._judged("to_contain_text", text, found=self._locator.filter(has_text=text).first)

    def not_to_contain_text(self, text: Text) -> None:
        self._judged("not_to_contain_text", text, found=self._locator.filter(has_not_text=text).first)

    def to_have_attribute(self, name: str, value: Text) -> None:
        selector = f"[{name}={json.dumps(value, ensure_ascii=False)}]" if isinstance(value, str) else f"[{name}]"
        found = self._locator.and_(self._locator.page.locator(selector)).first
        self._judged("to_have_attribute", name, value, found=found)


def expect(locator: Locator) -> Expected:
    """What is expected of `locator`, to be said by one of the methods of what comes back."""
    return Expected(locator)
