"""Checks of the built site: `python docs/site_checks.py .make/site`, the last step of `make docs`.

- every link within the site leads to a page and, where it names one, to a place on it;
- every name of every `__all__` is in the index of the reference;
- on a phone (390 px) and a desktop (1,280 px), light and dark: no page is wider than the screen, no picture is broken,
  and axe finds nothing. That needs Chromium; where there is none, the command says so and goes on.

With `--pictures FOLDER` each page looked at is saved there as PNG.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import reference

__all__ = ["broken_links", "main", "missing_names", "seen"]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_WIDTHS = {"phone": 390, "desktop": 1280}
# Of the reference, pages of each kind: a list of names, functions, a class, a package.
_REFERENCE = {"index", "sketchkit", "sketchkit.transforms", "sketchkit.sketch_set", "sketchkit.recipes"}


class _Page(HTMLParser):
    """The places on a page, and the targets that it links to or shows."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.targets: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.places.add(value or "")
            elif name in {"href", "src"} and value:
                self.targets.add(value)


def broken_links(site: Path) -> list[str]:
    """Links from page to page, or to a file, that lead nowhere."""
    pages = {path.resolve(): _Page(path) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for target in sorted(page.targets):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            found = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not found.exists() or (place and found in pages and place not in pages[found].places):
                broken.append(f"{path.relative_to(site.resolve())}: {target}")
    return broken


def missing_names(site: Path) -> list[str]:
    """Names of an `__all__` that the reference has no entry for."""
    from sphinx.util.inventory import InventoryFile

    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data
    known = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}
    wanted = [full for name in reference.modules() for full, _, _ in reference.documented(import_module(name))]
    return [full for full in wanted if full not in known]


def seen(site: Path, browser: str, pictures: Path | None = None) -> Iterator[str]:
    """What is wrong with pages when they are looked at, as sentences."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    pages = [path for path in sorted(site.rglob("*.html")) if _looked_at(path.relative_to(site))]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for device, width in _WIDTHS.items():
            for theme in ("light", "dark"):
                context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
                tab = context.new_page()
                for path in pages:
                    tab.goto(path.resolve().as_uri())
                    where = f"{path.relative_to(site)}, {device}, {theme}"
                    yield from (f"{where}: {fault}" for fault in _faults(tab, Axe().run(tab).response["violations"]))
                    if pictures:
                        name = "-".join(path.relative_to(site).with_suffix("").parts)
                        tab.screenshot(path=pictures / f"{name}-{device}-{theme}.png", full_page=True)
                context.close()
        chromium.close()


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, check, and leave with 1 when something is wrong."""
    parser = argparse.ArgumentParser(description="Check the built site.")
    parser.add_argument("site", type=Path)
    parser.add_argument("--pictures", type=Path, help="save every page that is looked at there")
    options = parser.parse_args(arguments)
    faults = [f"leads nowhere: {link}" for link in broken_links(options.site)]
    faults += [f"not in the reference: {name}" for name in missing_names(options.site)]
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser:
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
        faults += seen(options.site, browser, options.pictures)
    else:
        print("no Chromium here (apt-get install chromium): pages were not looked at")
    print("\n".join(faults) or "site: every check passed")
    sys.exit(bool(faults))


def _looked_at(path: Path) -> bool:
    if path.parts[0] == "reference":
        return path.stem in _REFERENCE
    return path.parts[0] != "static" and path.stem not in {"genindex", "search", "py-modindex"}


def _faults(tab: Any, violations: list[dict[str, Any]]) -> Iterator[str]:
    over = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if over > 0:
        yield f"{over} px wider than the screen"
    broken = "[...document.images].filter(image => image.complete && !image.naturalWidth).map(image => image.src)"
    yield from (f"no picture: {source[:80]}" for source in tab.evaluate(broken))
    for violation in violations:
        for node in violation["nodes"]:
            yield f"axe, {violation['id']}: {violation['help']}: {node['html'][:160]}"


if __name__ == "__main__":
    main()
