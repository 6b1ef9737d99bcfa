import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_kernels_agree_with_their_twins_in_plain_python():
    """Without the compiler an index out of range is an IndexError, and a wrong name or shape shows."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "twin"]
    files = [str(HERE / f"test_{room}.py") for room in ("measures", "simplifying", "smoothing", "transforms")]
    files.append(str(HERE.parent / "adapters" / "test_pen_rows.py"))
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [*command, *files], env=environment, cwd=HERE.parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
