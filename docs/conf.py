"""How Sphinx makes the site of the Markdown files, the example notebooks and the docstrings: `make docs`."""

from __future__ import annotations

import rain

project = "Rain"
author = "the authors of Rain"
copyright = "the authors of Rain"  # by its name Sphinx knows it
version = release = rain.__version__
root_doc = "docs/index"

extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
# The sources are the repository, so that links between files are right there and on the site.
include_patterns = [
    "docs/**",
    "notebooks/*.ipynb",
    "benchmarks/README.md",
    "examples/README.md",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]
exclude_patterns = [
    ".*",
    "build",
    "demo-out",
    "frontend",
    "rain",
    "tools",
    "findings",
    "tests",
    "**/.ipynb_checkpoints",
    "docs/site",
]

nb_execution_mode = "off"  # they are committed with their outputs, and tests run them
nb_mime_priority_overrides = [
    ("html", "application/vnd.jupyter.widget-view+json", None),  # saved notebooks hold no widgets' state
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
suppress_warnings = [
    "myst.xref_missing",  # links to source files and folders, which are no pages; a test looks where they lead
    "misc.highlighting_failure",  # cells with magics
    "mystnb.stderr",
]

numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
autodoc_default_options = {"members": True, "inherited-members": True, "undoc-members": False}
autodoc_member_order = "groupwise"
autodoc_typehints = "none"  # they are in the signatures of the docstrings' sections

html_theme = "furo"
html_title = f"Rain {release}"
html_extra_path = ["site"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}


def setup(app: object) -> None:
    """Leave out the awaitable twins, and what classes have from outside of Rain."""
    app.connect("autodoc-skip-member", _is_left_out)  # type: ignore[attr-defined]


def _is_left_out(_app: object, _what: str, name: str, value: object, _skip: bool, _options: object) -> bool | None:
    module = str(getattr(value, "__module__", None) or "rain")
    return True if name.endswith("_async") or module.partition(".")[0] != "rain" else None
