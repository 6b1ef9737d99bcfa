"""What is built: a source distribution, and from it a wheel that holds the three rooms and nothing else."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from rooms import REPOSITORY, ROOMS

BUILT_FROM = ["setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"]


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution, built from a copy: a build leaves its own folders behind."""
    checkout = tmp_path_factory.mktemp("checkout")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in (*ROOMS.values(), "tests"):
        shutil.copytree(REPOSITORY / folder, checkout / folder, ignore=ignore)
    for name in BUILT_FROM:
        shutil.copy(REPOSITORY / name, checkout)
    run("-m", "build", "--sdist", "--no-isolation", "--outdir", "dist", ".", cwd=checkout)
    (archive,) = (checkout / "dist").glob("*.tar.gz")
    unpacked = tmp_path_factory.mktemp("sdist")
    with tarfile.open(archive) as stream:
        # Debian 12's Python 3.11.2 knows no filter.
        stream.extractall(unpacked, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (folder,) = unpacked.iterdir()
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel."""
    built, unpacked = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site-packages")
    run("-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "-w", str(built), ".", cwd=source)
    (archive,) = built.glob("sketchkit-*.whl")
    with zipfile.ZipFile(archive) as stream:
        stream.extractall(unpacked)
    return unpacked


def test_only_sketchkit_lands_in_site_packages(wheel: Path) -> None:
    import sketchkit

    assert {path.name for path in wheel.iterdir()} == {"sketchkit", f"sketchkit-{sketchkit.__version__}.dist-info"}


def test_the_wheel_holds_every_file_of_every_room(wheel: Path) -> None:
    expected = set()
    for package, folder in ROOMS.items():
        for path in (REPOSITORY / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                expected.add(Path(*package.split("."), path.relative_to(REPOSITORY / folder)).as_posix())
    held = {path.relative_to(wheel).as_posix() for path in (wheel / "sketchkit").rglob("*") if path.is_file()}
    assert held == expected
    assert {"sketchkit/py.typed", "sketchkit/adapters/py.typed", "sketchkit/recipes/configs/demo.yaml"} <= held


def test_the_wheel_carries_the_license_and_what_it_needs(wheel: Path) -> None:
    (information,) = wheel.glob("*.dist-info")
    assert list(information.rglob("LICENSE"))
    metadata = (information / "METADATA").read_text(encoding="utf-8")
    assert "\nLicense: MIT\n" in metadata or "\nLicense-Expression: MIT\n" in metadata
    assert "\nRequires-Python: >=3.10\n" in metadata
    assert "sketchkit = sketchkit.recipes.cli:main" in (information / "entry_points.txt").read_text(encoding="utf-8")


def test_the_source_distribution_has_no_tests(source: Path) -> None:
    assert not list(source.rglob("test_*.py"))
    assert not [name for name in BUILT_FROM if not (source / name).is_file()]


def test_the_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    code = """
import importlib, pathlib, sys
# An editable install would lend its finder to what the wheel has forgotten.
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__module__", "")]
root = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(root))
for path in sorted((root / "sketchkit").rglob("*.py")):
    name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    if not name.endswith("__main__"):
        module = importlib.import_module(name)
        assert pathlib.Path(module.__file__) == path, (module.__file__, path)
import sketchkit
for name in sketchkit.__all__:
    getattr(sketchkit, name)
from sketchkit.recipes.config import shipped_configs
assert "demo" in shipped_configs()
"""
    run("-I", "-c", code, str(wheel), cwd=tmp_path)


def test_requirements_are_lower_bounds_and_all_of_them_are_pinned_for_setup() -> None:
    settings = configparser.ConfigParser()
    settings.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    extras = settings["options.extras_require"]
    lines = settings["options"]["install_requires"].split() + " ".join(extras.values()).split()
    names = set()
    for line in lines:
        requirement = re.fullmatch(r"([\w-]+)>=[\d.]+", line)
        assert requirement, f"{line}: not a lower bound alone"
        names.add(requirement[1])
    pins = re.findall(r"^([\w-]+)==", (REPOSITORY / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert names <= set(pins)
