"""How Sphinx builds the site; `make docs` calls it, and treats its warnings as errors."""

from __future__ import annotations

import os

import sketchkit

project = "sketchkit"
author = "sketchkit contributors"
release = sketchkit.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns: list[str] = []
default_role = "code"  # docstrings write `name` as Markdown does

html_theme = "furo"
html_title = f"sketchkit {release}"

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

# A page runs each time the site is built, on what is in the checkout; NOTEBOOKS=cache goes by the page's text alone.
nb_execution_mode = os.environ.get("NOTEBOOKS", "force")
nb_execution_cache_path = os.environ.get("NOTEBOOK_CACHE", "")
nb_execution_in_temp = True
nb_execution_timeout = 900  # seconds a cell
nb_execution_raise_on_error = True
nb_output_stderr = "warn"  # a warning that a page prints is one of the site's
nb_merge_streams = True
