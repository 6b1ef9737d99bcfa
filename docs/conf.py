"""How Sphinx builds the site; `make docs` calls it, and treats its warnings as errors."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from docutils.nodes import SkipNode, TextElement, math, math_block
from latex2mathml.converter import convert
from numpy.typing import ArrayLike
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import stringify_annotation
from sphinx.writers.html5 import HTML5Translator

import sketchkit

sys.path.append(str(Path(__file__).parent))
import reference

project = "sketchkit"
author = copyright = "sketchkit contributors"
release = sketchkit.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
default_role = "code"  # docstrings write `name` as Markdown does

html_theme = "furo"
pygments_dark_style = "a11y-high-contrast-dark"
html_title = f"sketchkit {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_math_renderer = "mathml"  # drawn by the browser itself: no script is fetched from elsewhere
html_copy_source = html_show_sourcelink = False  # a page of cells is read as it was run

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
nitpick_ignore = [("py:class", "Buffer")]  # of typing_extensions, where Python has none of its own

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
    """Write the pages of the reference before Sphinx looks for pages, and read docstrings as they are written."""
    app.connect("config-inited", write_reference)
    app.connect("autodoc-process-docstring", read_docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", read_again, priority=600)  # after it
    app.connect("autodoc-process-signature", parsable)
    app.connect("missing-reference", refer)
    app.connect("build-finished", make_accessible)
    app.add_html_math_renderer("mathml", (write_math, None), (write_equation, None))


def write_reference(app: Sphinx, config: Config) -> None:
    """Write one page a module beside the other pages; git ignores them."""
    reference.write(Path(app.srcdir, "reference"))


_ATTRIBUTES: dict[str, list[str]] = {}


def read_docstring(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Docstrings are written for readers of the source; Sphinx wants reStructuredText."""
    reference.markdown_to_rst(lines)
    _ATTRIBUTES[name] = [*lines]


def read_again(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Napoleon takes what an attribute's docstring has before a colon for its type; ours have sentences there."""
    if what in {"attribute", "property"}:
        lines[:] = _ATTRIBUTES[name]


def parsable(
    app: Sphinx, what: str, name: str, value: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """A signature that Sphinx can parse, and that names array types as the source does.

    A dataclass shows a default that is made anew as `<factory>`, and numpy's aliases come as what they stand for.
    """
    return signature and _aliased(signature.replace("<factory>", "...")), returns and _aliased(returns)


_NDARRAY = re.compile(r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[([^][]+)\]\]")
_ARRAY_LIKE = stringify_annotation(ArrayLike, "smart")


def _aliased(signature: str) -> str:
    return _NDARRAY.sub(r"~numpy.typing.NDArray[\1]", signature).replace(_ARRAY_LIKE, "~numpy.typing.ArrayLike")


def refer(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: TextElement) -> TextElement | None:
    """Links a name to where it is documented, whatever it was imported by; a name of another library stays text."""
    target = node["reftarget"]
    last = target.rpartition(".")[2]
    domain = env.domains.python_domain
    found = [name for name in domain.objects if name.rpartition(".")[2] == last]
    if len(found) == 1 and node["refdomain"] == "py":
        linked = domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, text)
        return linked if isinstance(linked, TextElement) else None
    return text if node["refdomain"] == "py" and reference.is_known(target) else None


def write_math(translator: HTML5Translator, node: math) -> None:
    """An equation within a line, as MathML."""
    translator.body.append(convert(node.astext()))
    raise SkipNode


def write_equation(translator: HTML5Translator, node: math_block) -> None:
    """An equation on its own line, as MathML; where it is wider than the screen, one scrolls it, also by keyboard."""
    label = f"Equation: {node.astext()}".replace("&", "&amp;").replace('"', "&quot;")
    translator.body.append(f'<div class="math" tabindex="0" role="group" aria-label="{label}">')
    translator.body.append(convert(node.astext(), display="block"))
    translator.body.append("</div>")
    raise SkipNode


# What the theme leaves out for readers who use a keyboard or a screen reader.
_ACCESSIBLE = {
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Site">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="On this page">',
    '<th class="head"><p></p></th>': "<td></td>",
}


def make_accessible(app: Sphinx, error: Exception | None) -> None:
    """Complete the pages: what scrolls can be reached by keyboard, landmarks have names, empty headers are none."""
    for path in Path(app.outdir).rglob("*.html") if app.builder.format == "html" and not error else ():
        text = path.read_text(encoding="utf-8")
        for old, new in _ACCESSIBLE.items():
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
