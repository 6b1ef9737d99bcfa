"""Every reader against damage: drawings that validate, or our error that names the file, or skipped and counted.

`SKETCHKIT_FUZZ_ROUNDS` times the usual number of damaged files makes a longer campaign.
"""

import gzip
import os
import random
import re
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import pytest
from hostile import HOSTILE, RECORDS

import sketchkit
from sketchkit import Sketch
from sketchkit.errors import DataError, SketchkitError
from sketchkit.formats import registry
from sketchkit.reading import SketchkitWarning

from format_samples import SAMPLES

ROUNDS = int(os.environ.get("SKETCHKIT_FUZZ_ROUNDS", "1"))
# Seconds of the processor for one file; the slowest takes a tenth of it.
LIMIT = 5.0
FILES = {name: sample for name, sample in SAMPLES.items() if Path(sample.path).suffix}
FILES = {name: sample for name, sample in FILES.items() if sample.format in registry.names()}
NUMBERS = (b"NaN", b"-Infinity", b"1e999", b"-1", b"99999999999999999999", b"null", b'"1"', b"[]", b"0.1e", b"--1", b"")

pytestmark = pytest.mark.timeout(120 * ROUNDS)
each_file = pytest.mark.parametrize("name", FILES)


class Outcome:
    """What a reader makes of a file; anything but drawings or one of our errors fails the test.

    Args:
        path: the file.
        named: the format, or None to have it found.
        skip: whether bad records are skipped.
    """

    def __init__(self, path, named, *, skip):
        began = time.process_time()
        self._read(path, named, skip)
        if time.process_time() - began >= LIMIT:  # a first reading may have compiled kernels: once more
            began = time.process_time()
            self._read(path, named, skip)
            assert time.process_time() - began < LIMIT

    def _read(self, path, named, skip):
        self.drawings, self.skipped, self.error = None, 0, ""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("error")
            warnings.simplefilter("always", SketchkitWarning)
            try:
                self.drawings = sketchkit.read(path, named, on_error="skip" if skip else "raise").validate()
            except SketchkitError as error:
                self.error = str(error)
                assert str(path) in self.error, "the message does not name the file"
                assert len(self.error) < 1000 + len(str(path)), "a message is for a reader"
        for message in (str(warning.message) for warning in told):
            count = re.match(r"skipped (\d+) bad", message)
            self.skipped += int(count[1]) if count else 0
            assert str(path) in message


def check(path, named):
    """Read a file in both ways; what is raised in the one must be told in the other."""
    raised, skipped = Outcome(path, named, skip=False), Outcome(path, named, skip=True)
    if raised.error:
        assert skipped.error or skipped.skipped, f"lost silently: {raised.error}"
    else:
        assert not skipped.error
        assert not skipped.skipped
        assert len(skipped.drawings) == len(raised.drawings)
        assert skipped.drawings.points.tobytes() == raised.drawings.points.tobytes()
    return raised


def written(sample, folder):
    path = folder / sample.path
    sketchkit.write(sample.sketches, path, format=sample.format)
    return path.read_bytes()


def damaged(data, other, rounds, seed):
    """Bytes flipped, inserted, removed, repeated, spliced with those of another file; numbers replaced."""
    chance = random.Random(seed)
    numbers = [match.span() for match in re.finditer(rb"-?\d+(?:\.\d+)?", data)] or [(0, 1)]
    for turn in range(rounds):
        changed = bytearray(data)
        at, size = chance.randrange(len(data)), chance.randrange(1, 9)
        match turn % 7:
            case 0:
                for _ in range(chance.randrange(1, 5)):
                    changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            case 1:
                changed[at:at] = chance.randbytes(size)
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = changed[at : at + 10 * size]
            case 4:
                changed[at:] = other[chance.randrange(len(other)) :]
            case 5:
                changed[at : at + size] = chance.choice((b"\xff", b"\0", b"\x80", b"\x7f")) * size
            case 6:
                start, stop = chance.choice(numbers)
                changed[start:stop] = chance.choice(NUMBERS)
        yield bytes(changed)


@each_file
def test_files_cut_short(name, tmp_path):
    data, path = written(FILES[name], tmp_path), tmp_path / "cut"
    errors = 0
    for length in range(1, len(data), max(1, len(data) // (30 * ROUNDS))):
        path.write_bytes(data[:length])
        errors += bool(check(path, FILES[name].format).error)
    assert errors, "damage that is never noticed tests nothing"


@each_file
def test_damaged_files(name, tmp_path):
    data, path = written(FILES[name], tmp_path), tmp_path / "damaged"
    others = [written(sample, tmp_path) for sample in FILES.values()]
    errors = 0
    for turn, other in enumerate(others):
        for changed in damaged(data, other, max(1, 90 * ROUNDS // len(others)), seed=turn):
            path.write_bytes(changed)
            errors += bool(check(path, FILES[name].format).error)
    assert errors, "damage that is never noticed tests nothing"


@each_file
def test_damaged_files_of_no_known_format(name, tmp_path):
    data = written(FILES[name], tmp_path)
    path = tmp_path / f"damaged{Path(FILES[name].path).suffix}"
    for changed in damaged(data[:4000], data, 28 * ROUNDS, seed=7):
        path.write_bytes(changed)
        check(path, None)


@each_file
def test_damaged_gzip_files(name, tmp_path):
    data, path = gzip.compress(written(FILES[name], tmp_path)), tmp_path / "damaged.gz"
    for changed in damaged(data, data[::-1], 28 * ROUNDS, seed=3):
        path.write_bytes(changed)
        check(path, FILES[name].format)


@pytest.mark.parametrize("name", registry.names())
def test_noise(name, tmp_path):
    chance, path = random.Random(11), tmp_path / "noise"
    letters = b'[]{}",:.0123456789eE+-<>/svgpathdMLCz \n'
    for turn in range(20 * ROUNDS):
        size = chance.randrange(1, 300)
        path.write_bytes(chance.randbytes(size) if turn % 2 else bytes(chance.choices(letters, k=size)))
        check(path, name)


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name in sorted({*HOSTILE} & {*registry.names()}) for case in HOSTILE[name]]
)
def test_hostile_files(name, case, tmp_path):
    (tmp_path / "marks").mkdir()
    marker = tmp_path / "marks" / "was here"
    path = tmp_path / "hostile"
    path.write_bytes(HOSTILE[name][case](marker))
    before = sorted((tmp_path / "marks").iterdir())
    outcome = check(path, name)
    assert sorted((tmp_path / "marks").iterdir()) == before, "the file made its reader do something"
    assert not any(31 in drawing.points for drawing in outcome.drawings or ()), "another file was read"
    # Others may take it for one of theirs.
    for other in registry.names():
        if other != name and registry.lookup(other).sniff(path.read_bytes()[:4096], path):
            check(path, other)


@pytest.mark.parametrize("name", sorted({*RECORDS} & {*registry.names()}))
def test_a_bad_record_among_good_ones_costs_no_other(name, tmp_path):
    records, path = RECORDS[name], tmp_path / "records"
    for bad in records.bad:
        parts = [bad(number) if number in (0, 7, 8, 19) else records.good(number) for number in range(20)]
        path.write_bytes(records.before + b"".join(parts))
        assert check(path, name).error
        outcome = Outcome(path, name, skip=True)
        assert (len(outcome.drawings), outcome.skipped) == (16, 4)
        parts = [records.good(number) for number in range(20) if number not in (0, 7, 8, 19)]
        path.write_bytes(records.before + b"".join(parts))
        assert outcome.drawings.points.tobytes() == sketchkit.read(path, name).points.tobytes()


@pytest.mark.parametrize("seed", range(3))
def test_damaged_lines_are_drawings_or_counted(seed, tmp_path):
    records, path = RECORDS["quickdraw"], tmp_path / "lines.ndjson"
    data = b"".join(records.good(number) for number in range(30))
    for changed in damaged(data, data, 28 * ROUNDS, seed):
        path.write_bytes(changed)
        outcome = Outcome(path, "quickdraw", skip=True)
        if not outcome.error:
            lines = [line for line in changed.split(b"\n") if line.strip()]
            assert len(outcome.drawings) + outcome.skipped == len(lines)


# Folders


def test_a_folder_with_traps_is_read_and_left(tmp_path):
    folder = tmp_path / "drawings"
    (folder / "deep" / "deeper").mkdir(parents=True)
    good = b'<svg><path d="M0 0L1 1"/></svg>'
    (folder / "a.svg").write_bytes(good)
    (folder / "deep" / "b.svg").write_bytes(good)
    (folder / "line\nbreak.svg").write_bytes(good)
    (folder / "folder.svg").mkdir()
    (folder / "loop").symlink_to(folder)
    (folder / "deep" / "deeper" / "up").symlink_to(folder / "deep")
    (folder / "self.svg").symlink_to(folder / "self.svg")
    (folder / "gone.svg").symlink_to(folder / "nowhere.svg")
    os.mkfifo(folder / "pipe.svg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SketchkitWarning)
        drawings = sketchkit.read(folder, on_error="skip")
    assert sorted(drawings.columns["key"]) == ["a", "deep/b", "line\nbreak"]


def test_a_bad_file_in_a_folder_is_named_or_counted(tmp_path):
    folder = tmp_path / "drawings"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.svg").write_bytes(b'<svg><path d="M0 0L1 1"/></svg>')
    (folder / "2.svg").write_bytes(b"<svg><path d='M0 0L1'/></svg>")
    with pytest.raises(DataError, match=r"2\.svg"):
        sketchkit.read(folder)
    with pytest.warns(SketchkitWarning, match=r"skipped 1 bad .*2\.svg"):
        assert len(sketchkit.read(folder, on_error="skip")) == 4


@pytest.mark.filterwarnings("ignore:XML has no place")
@pytest.mark.parametrize("key", ["../evil", "/tmp/evil", "a/../../evil", "..", "a\0b", "C:\\evil", "~/evil", "a/./b"])
def test_a_key_leads_no_file_out_of_its_folder(key, tmp_path):
    folder = tmp_path / "within" / "drawings"
    folder.parent.mkdir()
    sketchkit.write([Sketch.from_strokes([[(0, 0), (1, 1)]], key=key)], folder, format="svg")
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert folder in file.parents


# Packed files that give more than they are


# Format, how a file begins, what is repeated, up to how many MB, and how many MiB a reader may take for it.
BOMBS = {
    "quickdraw, endless": ("quickdraw", b'{"drawing":[[[1', b",1" * 500_000, 400, 192),
    # Two threads take address space that they hardly touch: a stack of 8 MiB and a heap of 128 each.
    "quickdraw, many": ("quickdraw", b"", b'{"note":"%s","drawing":[[[1],[2]]]}\n' % (b"x" * 60_000), 600, 368),
    # What a record claims is believed up to 64 MiB.
    "quickdraw-binary, endless": (
        "quickdraw-binary",
        RECORDS["quickdraw-binary"].good(1)[:15],
        b"\xff" * 10**6,
        400,
        360,
    ),
    "sketchy, endless": ("sketchy", RECORDS["sketchy"].before + b"0,", b"1" * 10**6, 400, 96),
    "sketchy, one": ("sketchy", RECORDS["sketchy"].before + b"0,1,1,1,0,0,p\n", b"0,1,1,2,0,0,p\n" * 50_000, 400, 192),
    "drawing-game, endless": ("drawing-game", b'svg\n"', b"1" * 10**6, 400, 192),
    "drawing-game, many": ("drawing-game", b"a,svg\n", b'"%s",[]\n' % (b"x" * 60_000), 120, 48),
}
# It has read a small file of the format before it is limited: no import counts.
READER = """
    import resource, sys, warnings
    import numba, pyarrow.csv
    import sketchkit
    small, path, named, more = sys.argv[1:]
    warnings.simplefilter("ignore")
    sketchkit.read(small, named)
    held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + (int(more) << 20),) * 2)
    try:
        print(sum(len(part) for part in sketchkit.scan(path, named, chunk=16)), "drawings")
    except sketchkit.SketchkitError as error:
        print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_packed_file_unpacks_in_bounded_memory(bomb, tmp_path):
    named, before, repeated, megabytes, more = BOMBS[bomb]
    small, path = tmp_path / "small", tmp_path / "bomb.gz"
    records = RECORDS[named]
    small.write_bytes(records.before + b"".join(records.good(number) for number in range(3)))
    # A gzip file may be many one after the other.
    once = gzip.compress(repeated * max(1, 1_000_000 // len(repeated)))
    path.write_bytes(gzip.compress(before) + once * megabytes)
    assert path.stat().st_size < 4_000_000
    command = [sys.executable, "-c", textwrap.dedent(READER), small, path, named, str(more)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    if "many" in bomb:
        assert run.stdout == f"{megabytes * (1_000_000 // len(repeated))} drawings\n"
    else:
        assert str(path) in run.stdout
