"""The file of a report in a browser: no server, no network, by mouse and by keyboard."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from rain import Client, remote
from tests.browser.expecting import expect
from tests.browser.lab import Lab

PLANTED = "planted-in-a-variable"
BYTES_MAX = 1_000_000
TASKS = 1000


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a session with a thousand tasks, of which two failed."""

    @remote(auto_load=True, auto_encode="json")
    def fit(ctx, number, total):  # type: ignore[no-untyped-def]
        if number < 5:
            print("fitting", number, os.environ["KEY_OF_TASK"])
        if number in (3, 4):
            raise ValueError(f"no {number}, {os.environ['KEY_OF_TASK']}")
        return {"number": number}

    path = tmp_path_factory.mktemp("report") / "run.html"
    with Client.local(cpus=2) as client, client.new_session("a search") as session:
        tasks = [fit(n, 1, name=f"fold {n % 4}/fit", env={"KEY_OF_TASK": PLANTED}) for n in range(TASKS)]
        after = fit(1000, tasks[3], name="after")
        after.output.keep()
        tasks[7].output.keep()
        session.submit()
        session.wait_all(raise_on_failure=False)
        session.report(path, packages=["msgspec"])
    return path


@pytest.fixture
def page(lab: Lab, report: Path) -> Iterator[Page]:
    """The report in a page; what its console says, and what it asks for, is nothing."""
    page = lab.new_page()
    page.set_viewport_size({"width": 1300, "height": 950})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request", lambda request: said.append(request.url) if re.match("(?!file:|blob:|data:)", request.url) else 0
    )
    page.goto(report.as_uri())
    page.wait_for_selector("[data-ready=true]")
    yield page
    page.close()
    assert said == []


def test_a_report_shows_all_without_a_server(page: Page, report: Path) -> None:
    assert report.stat().st_size < BYTES_MAX
    assert PLANTED not in page.evaluate("() => document.documentElement.outerHTML")
    view = page.locator(".rain-session")
    chip = view.locator(".rain-chip")
    expect(chip.filter(has_text="failed")).to_have_text(re.compile("2"))
    expect(chip.filter(has_text="not run")).to_have_text(re.compile("1"))
    assert view.get_by_role("button", name=re.compile("retry|cancel", re.IGNORECASE)).count() == 0
    # the slider recolours
    slider = view.get_by_role("slider")
    slider.fill("0")
    expect(chip.filter(has_text="finished")).to_have_count(0)
    expect(view.locator('.rain-node[data-s="failed"]')).to_have_count(0)
    slider.fill("1000")
    expect(view.locator('.rain-node[data-s="failed"]').first).to_be_visible()
    # what failed, what was written, results, versions
    view.get_by_role("tab", name="errors").click()
    expect(view.locator(".rain-report-list:visible section")).to_have_count(2)
    expect(view.locator(".rain-report-list:visible")).to_contain_text("ValueError: no 3, •••")
    view.get_by_role("tab", name="output").click()
    expect(view.locator(".rain-report-list:visible")).to_contain_text("fitting 4 •••")
    view.get_by_role("tab", name="results").click()
    expect(view.locator(".rain-report-list:visible .rain-insp-body")).to_contain_text("number")
    view.get_by_role("tab", name="versions").click()
    for word in ("Rain", "Python", "msgspec", "127.0.0.1:"):
        expect(view.locator(".rain-report-list:visible")).to_contain_text(word)
    # table: filter, sort, details
    view.get_by_role("tab", name="table").click()
    view.locator(".rain-table input[type=search]").fill("after")
    expect(view.locator(".rain-table [role=status]").first).to_contain_text("1 of 1,001 tasks")
    view.locator(".rain-table .rain-item").first.click()
    details = view.locator(".rain-details")
    expect(details).to_contain_text("after")
    expect(details).to_contain_text("not run because of")
    view.get_by_role("tab", name="timeline").click()
    expect(view.locator(".rain-timeline .rain-sr-only li").first).to_contain_text("cpu")


def test_a_report_by_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_accessible_name("show how it went on")
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    expect(page.locator(":focus")).to_have_attribute("aria-valuetext", re.compile("of .*: .*(ready|running|waiting)"))
    page.keyboard.press("End")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_role("tab")
    page.keyboard.press("ArrowRight")
    expect(page.locator(":focus")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowLeft")
    page.locator(".rain-svg").focus()
    page.keyboard.press("ArrowDown")
    focused = page.locator(":focus")
    expect(focused).to_have_attribute("aria-label", re.compile("^(task|object|group) "))
    group = page.locator(".rain-group:has(.rain-toggle)").first
    group.focus()
    key = group.get_attribute("data-key")
    page.keyboard.press("o")
    page.wait_for_selector(f'[data-frame="{key}"]')  # opened, as it was laid out beforehand
    page.locator(f'[data-close="{key}"]').click()
    page.wait_for_selector(f'[data-key="{key}"]')


def test_a_report_without_scripts(lab: Lab, report: Path) -> None:
    context = lab.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    expect(page.get_by_role("img", name=re.compile("Session a search"))).to_be_visible()
    expect(page.get_by_text("ValueError: no 3, •••").first).to_be_visible()
    expect(page.get_by_role("heading", name="Versions")).to_be_visible()
    context.close()


def test_a_report_in_forced_colours(page: Page) -> None:
    """The tab that is in front, and marks of states, can be told without the page's own colours."""
    page.emulate_media(forced_colors="active")
    color = "(element) => getComputedStyle(element).borderBottomColor"
    selected, *others = (
        page.locator(f'.rain-tab[aria-selected="{value}"]').first.evaluate(color) for value in ("true", "false")
    )
    assert selected not in others
    mark = page.locator(".rain-node .rain-mark").first
    assert mark.evaluate("(element) => getComputedStyle(element).fill") == page.evaluate(
        """() => {
            const probe = document.body.appendChild(document.createElement('i'));
            probe.style.color = 'CanvasText';
            return getComputedStyle(probe).color;
        }"""
    )
