import errno
import os
import stat
from pathlib import Path

import pytest

from sketchkit import atomic
from sketchkit.errors import MissingDataError, OutputError


@pytest.fixture
def earlier(tmp_path):
    path = tmp_path / "results.json"
    path.write_bytes(b"earlier")
    return path


def untouched(path: Path) -> bool:
    """The earlier file is whole, and nothing lies beside it."""
    return path.read_bytes() == b"earlier" and list(path.parent.iterdir()) == [path]


def test_a_file_is_replaced(earlier):
    atomic.write_text(earlier, "später\r\n")
    assert earlier.read_bytes() == "später\r\n".encode()
    assert list(earlier.parent.iterdir()) == [earlier]


def test_any_buffer_is_written(tmp_path):
    for data in (b"abc", bytearray(b"abc"), memoryview(b"abc")):
        atomic.write_bytes(str(tmp_path / "file"), data)
        assert (tmp_path / "file").read_bytes() == b"abc"


def test_the_temporary_path_is_beside_the_file_and_has_its_suffix(earlier):
    with atomic.replacing(earlier) as temporary:
        assert temporary.parent == earlier.parent
        assert temporary.suffix == ".json"
        temporary.write_bytes(b"new")
        assert earlier.read_bytes() == b"earlier"
    assert earlier.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt()])
def test_what_the_body_raises_passes_and_nothing_changes(earlier, error):
    def write_half():
        with atomic.replacing(earlier) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert untouched(earlier)


def test_a_missing_input_in_the_body_is_not_blamed_on_the_output(earlier):
    with pytest.raises(FileNotFoundError, match="weights"), atomic.replacing(earlier):
        Path("no weights here").read_bytes()
    with pytest.raises(MissingDataError, match="photos"), atomic.replacing(earlier):
        raise MissingDataError("no photos")
    assert untouched(earlier)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "is full; free some space or write elsewhere"),
        (errno.EDQUOT, "is full"),
        (errno.EROFS, "is read-only for you; choose a folder that you may write to"),
        (errno.EACCES, "is read-only for you"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("failing", ["fsync", "open", "replace"])
def test_a_failing_disk_is_an_output_error_that_says_what_to_do(earlier, monkeypatch, failing, number, words):
    def fail(*_args, **_options):
        raise OSError(number, os.strerror(number))

    if failing == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OutputError, match=f"results.json: cannot be written: .*{words}"):
        atomic.write_bytes(earlier, b"new")
    monkeypatch.undo()
    assert untouched(earlier)


def test_a_disk_that_fills_up_while_writing_leaves_the_earlier_file(earlier):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")

    def write_half():
        with atomic.replacing(earlier) as temporary:
            temporary.write_bytes(b"half")
            with Path("/dev/full").open("wb") as file:
                file.write(b"x" * 100_000)

    with pytest.raises(OutputError, match="is full"):
        write_half()
    assert untouched(earlier)


def test_a_path_beneath_a_file_is_an_output_error(earlier):
    with pytest.raises(OutputError, match="is not a folder; choose another path"):
        atomic.write_bytes(earlier / "beneath.json", b"new")
    assert untouched(earlier)


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="absent does not exist; create it first"):
        atomic.write_bytes(tmp_path / "absent" / "file", b"new")


def test_folders_and_devices_are_not_replaced(tmp_path):
    with pytest.raises(OutputError, match="it is a folder"):
        atomic.write_bytes(tmp_path, b"new")
    with pytest.raises(OutputError, match="it is not a regular file"):
        atomic.write_bytes(os.devnull, b"new")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_link_stays_a_link(earlier, tmp_path):
    link = tmp_path / "latest.json"
    link.symlink_to(earlier)
    atomic.write_bytes(link, b"new")
    assert link.is_symlink()
    assert earlier.read_bytes() == b"new"


def test_a_new_file_has_the_mode_of_the_umask_and_a_replaced_one_keeps_its_own(tmp_path):
    atomic.write_bytes(tmp_path / "ours", b"")
    (tmp_path / "theirs").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode
    (tmp_path / "ours").chmod(0o640)
    atomic.write_bytes(tmp_path / "ours", b"again")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == 0o640
