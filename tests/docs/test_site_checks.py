"""The checks of the built site find what they are there to find."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from rooms import REPOSITORY

sys.path.append(str(REPOSITORY / "docs"))
import site_checks

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width"></head><body><main>
<h1 id="top">A page</h1>BODY</main></body></html>"""
LINKS = [
    ('<a href="#top">', None),
    ('<a href="other.html#top">', None),
    ('<a href="https://example.org/#nowhere">', None),
    ('<img src="drawn%20here.png">', None),
    ('<a href="#bottom">', "#bottom"),
    ('<a href="other.html#bottom">', "other.html#bottom"),
    ('<a href="gone.html">', "gone.html"),
    ('<img src="gone.png">', "gone.png"),
]
FAULTS = [
    ("<p>Nothing wrong.</p>", None),
    ('<div style="width: 2000px">Wide.</div>', "px wider than the screen"),
    ('<img src="gone.png" alt="gone">', "no picture"),
    ('<img src="here.png">', "axe, image-alt"),
    ('<p style="color: #ccc; background: #fff">Pale.</p>', "axe, color-contrast"),
]


@pytest.mark.parametrize(("markup", "broken"), LINKS)
def test_links_that_lead_nowhere_are_found(tmp_path: Path, markup: str, broken: str | None) -> None:
    (tmp_path / "other.html").write_text(PAGE)
    (tmp_path / "drawn here.png").write_bytes(b"")
    (tmp_path / "index.html").write_text(PAGE.replace("BODY", markup))
    assert site_checks.broken_links(tmp_path) == ([f"index.html: {broken}"] if broken else [])


@pytest.mark.parametrize(("markup", "fault"), FAULTS)
def test_what_is_wrong_to_look_at_is_seen(tmp_path: Path, markup: str, fault: str | None) -> None:
    pytest.importorskip("axe_playwright_python", reason="only `make docs` installs it")
    browser = next(filter(None, map(shutil.which, site_checks._BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium")
    picture = pytest.importorskip("PIL.Image").new("RGB", (8, 8))
    picture.save(tmp_path / "here.png")
    (tmp_path / "index.html").write_text(PAGE.replace("BODY", markup))
    found = list(site_checks.seen(tmp_path, browser))
    if fault is None:
        assert not found
    else:
        assert found
        assert all(fault in sentence for sentence in found)
