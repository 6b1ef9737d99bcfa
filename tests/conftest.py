import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

import sketchkit  # noqa: F401 -- found now, before tests/ is on the path: there tests/sketchkit would be taken for it

# A first call may compile a kernel, so no deadline; the same examples in every run.
settings.register_profile("house", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("house")

# Test modules share `zoo` and `naive`; --import-mode=importlib puts no folder on the path by itself.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real sketch data, from SKETCHKIT_DATA; tests that need it skip where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SKETCHKIT_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; set SKETCHKIT_DATA to the real sketch data")
    return folder
