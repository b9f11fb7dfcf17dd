"""Build the site in build/docs, and look whether its search, without a network, finds what people ask for."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "docs"
ASKED = {
    "encoding": "howto/encodings",
    "logging": "howto/logging",
    "random seed": "howto/random-seeds",
    "several machines": "howto/several-machines",
    "pytest": "howto/testing",
    "progress": "howto/progress",
    "GPUs": "howto/gpus",
    "large data": "howto/large-data",
    "environment variables": "howto/environment-variables",
    "cancel": "howto/cancelling",
    "retry": "howto/retry",
    "priorities": "howto/priorities",
    "languages": "howto/foreign-languages",
    "before a run": "howto/checking",
}
"""What people look for, and the page that tells it."""
FIRST = 5
"""Among how many of the found pages it has to be."""


def build() -> int:
    """Run Sphinx; a warning is an error."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-j", "auto", "-b", "html", "-c", "docs"]
    return subprocess.run([*command, ".", str(SITE)], cwd=ROOT, check=False).returncode


def not_found() -> list[str]:
    """What the site's search, opened as a file in a browser, does not tell."""
    from playwright.sync_api import sync_playwright

    missed = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.route("http*://**", lambda route: route.abort())
        for words, wanted in ASKED.items():
            page.goto(f"{(SITE / 'search.html').as_uri()}?q={words.replace(' ', '+')}")
            page.wait_for_selector("#search-results ul.search li a")
            page.wait_for_function("!document.querySelector('#search-progress')?.textContent?.includes('Searching')")
            found = page.eval_on_selector_all("#search-results ul.search li > a", "all => all.map(one => one.href)")
            if not any(f"/{wanted}.html" in address for address in found[:FIRST]):
                missed.append(f"{words!r} leads to {found[:FIRST]}, not to {wanted}")
        browser.close()
    return missed


def main() -> int:
    """Build, and look."""
    if build():
        return 1
    print(f"The site is in {(SITE / 'index.html').relative_to(ROOT)}.")
    if importlib.util.find_spec("playwright") is None or shutil.which("chromium") is None:
        print("Its search was not tried: that needs Chromium, and the libraries of the tests (make test).")
        return 0
    missed = not_found()
    for line in missed:
        print(f"the search for {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
