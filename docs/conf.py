"""How Sphinx builds the site; `make docs` calls it, and treats its warnings as errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

import sketchkit

sys.path.append(str(Path(__file__).parent))
import reference

project = "sketchkit"
author = "sketchkit contributors"
release = sketchkit.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns: list[str] = []
default_role = "code"  # docstrings write `name` as Markdown does

html_theme = "furo"
html_title = f"sketchkit {release}"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

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


def setup(app: Sphinx) -> None:
    """Write the pages of the reference before Sphinx looks for pages."""
    app.connect("config-inited", write_reference)


def write_reference(app: Sphinx, config: Config) -> None:
    """Write one page a module beside the other pages; git ignores them."""
    reference.write(Path(app.srcdir, "reference"))
