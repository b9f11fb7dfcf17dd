"""All static checks, each once, with a line for each; the exit status is 1 if one of them complains.

The same commands run as tests (`tests/test_lint.py`), so that `make test` needs nothing else.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

CHECKS: dict[str, list[str]] = {
    "ruff check": [sys.executable, "-m", "ruff", "check", "."],
    "ruff format": [sys.executable, "-m", "ruff", "format", "--check", "."],
    "mypy": [sys.executable, "-m", "mypy"],
    "import rules": [str(BIN / "lint-imports"), "--no-cache"],
}


def run(name: str) -> tuple[bool, str]:
    """Whether the check called `name` is content, and what it printed."""
    done = subprocess.run(CHECKS[name], cwd=ROOT, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def main() -> int:
    content = True
    for name in CHECKS:
        good, text = run(name)
        print(f"{name}: {'ok' if good else 'FAILED'}", flush=True)
        if not good:
            content = False
            print(text, flush=True)
    return 0 if content else 1


if __name__ == "__main__":
    sys.exit(main())
