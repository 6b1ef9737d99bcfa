"""Streams that only go forward, packed ones, and how much memory it takes to read far more than fits."""

import gzip
import io
import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow
import pytest

import sketchkit
from sketchkit import Sketch
from sketchkit.errors import DataError
from sketchkit.formats import registry
from sketchkit.formats.packing import is_packed, packed_for, unpacked
from sketchkit.formats.registry import Format
from sketchkit.formats.source import Source, StreamSource, bare_suffix, in_chunks
from sketchkit.formats.streams import SeekableStream, buffered

DATA = random.Random(3).randbytes(1_000_000)
ROOF = b'{"word":"roof","drawing":[[[0,5,9],[9,0,9]]]}\n'


def one_way(data=DATA):
    return buffered(SeekableStream(io.BytesIO(data).read))


def test_a_stream_gives_what_a_file_gives_forward():
    assert one_way().read() == DATA
    stream = one_way()
    assert stream.read(3) + stream.read(400_000) + stream.readline() + b"".join(stream) == DATA
    assert stream.tell() == len(DATA)


@pytest.mark.parametrize("before", [0, 3, 100_000])
@pytest.mark.parametrize("to", [(0, 0), (2, 0), (900_000, 0), (-5, 2), (0, 2), (500_000, 1), (50, 1)])
def test_a_stream_can_be_sought_in_as_long_as_its_start_is_kept(before, to):
    stream, twin = one_way(), io.BytesIO(DATA)
    for one in (stream, twin):
        one.read(before)
    for place in (to, (1, 0), to):
        assert stream.seek(*place) == twin.seek(*place)
        assert stream.tell() == twin.tell()
        assert stream.read(100) == twin.read(100)
    assert stream.read() == twin.read()
    stream.close()


def test_a_random_walk_ends_where_a_file_does():
    generator = random.Random(4)
    for _ in range(30):
        stream, twin = one_way(DATA[:20_000]), io.BytesIO(DATA[:20_000])
        for _ in range(30):
            size, place = generator.randrange(3000), generator.randrange(25_000)
            if generator.random() < 0.4:
                assert stream.seek(place) == twin.seek(place)
            assert stream.read(size) == twin.read(size)
        stream.close()


def test_a_stream_whose_start_is_gone_says_so():
    stream = one_way()
    stream.read(500_000)
    assert stream.seek(500_000) == 500_000
    with pytest.raises(io.UnsupportedOperation, match="its start is gone"):
        stream.seek(0)
    assert stream.read() == DATA[500_000:]


def test_an_archive_is_read_from_a_stream():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("one", DATA)
        archive.writestr("two", b"2")
    with zipfile.ZipFile(one_way(packed.getvalue())) as archive:
        assert (archive.read("two"), archive.read("one")) == (b"2", DATA)


def test_a_temporary_copy_goes_away(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = StreamSource(io.BytesIO(gzip.compress(DATA)), Path("drawn.bin.gz"))
    assert source.head(10) == DATA[:10]
    assert source.path.read_bytes() == DATA
    assert source.path.parent.parent == tmp_path
    assert source.path.name == "drawn.bin.gz"
    with source.open() as stream:
        assert stream.seek(0, io.SEEK_END) == len(DATA)
    source.close()
    assert list(tmp_path.iterdir()) == []
    forgotten = StreamSource(io.BytesIO(DATA), Path("drawn"))
    assert forgotten.path.exists()
    del forgotten
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_a_copy_is_a_data_error(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(DataError, match="needs a temporary copy, which cannot be made"):
        one_way().seek(0, io.SEEK_END)


def test_what_is_packed_is_known_by_its_first_bytes():
    assert is_packed(gzip.compress(b"")[:4])
    assert is_packed(b"\x28\xb5\x2f\xfd")
    assert not is_packed(b"")
    # A .bin file may begin with any key.
    assert not is_packed(b"\x1f\x8b\x00\x00")
    assert [bare_suffix(name) for name in ("a.ndjson", "a.NDJSON.GZ", "a.b.zst", "a.gz", "zst")] == [
        ".ndjson",
        ".ndjson",
        ".b",
        "",
        "",
    ]


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".svgz", ".txt"])
def test_packing_keeps_the_target_open_and_gives_back_the_same(suffix):
    target = io.BytesIO()
    with packed_for(Path(f"x{suffix}"), target) as stream:
        for start in range(0, len(DATA), 77_777):
            stream.write(DATA[start : start + 77_777])
    data = target.getvalue()
    assert (unpacked(io.BytesIO(data), data[:4]).read() if is_packed(data[:4]) else data) == DATA
    assert not target.closed


def test_a_window_larger_than_the_limit_is_refused_not_allocated():
    # A frame's header that asks for 1 GiB: magic, descriptor without content size, window exponent 20.
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, 20 << 3]) + b"\x01\x00\x00"
    with pytest.raises(DataError, match=r"zstandard data are damaged or cut short: .*too much memory"):
        unpacked(io.BytesIO(frame), frame[:4]).read()


@pytest.mark.parametrize("packer", ["gz", "zst"])
def test_a_bomb_is_refused_by_a_format_that_needs_the_whole_file(packer, tmp_path):
    path = tmp_path / f"bomb.pkl.{packer}"
    with path.open("wb") as file, packed_for(path, file) as stream:
        stream.write(b"\x80\x03")
        for _ in range(100):
            stream.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(DataError, match=r"bomb.pkl.*: unpacks to more than 200 times its size"):
        sketchkit.read(path)
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"), Source(path).open() as stream:
        stream.seek(0, io.SEEK_END)
    source = StreamSource(io.BytesIO(path.read_bytes()), path)
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        source.path  # noqa: B018 -- makes the copy
    source.close()


def test_a_format_that_needs_a_path_is_given_one(monkeypatch, tmp_path):
    seen = []

    def scan(source, *, chunk, problems):
        seen.append(source.path)
        assert source.path.read_bytes() == b"#path\n"
        yield from in_chunks([Sketch.from_strokes([[(0, 1)]])], chunk)

    monkeypatch.setattr(registry, "_registered", {})
    registry.register(Format("by-path", (".path",), lambda head, path: head.startswith(b"#path"), scan))
    for data in (b"#path\n", gzip.compress(b"#path\n")):
        assert len(sketchkit.read(io.BytesIO(data))) == 1
    assert not any(path.exists() for path in seen)
    assert len(seen) == 2


def test_a_stream_that_would_block_or_is_text_is_an_error():
    class Text:
        name = "notes"

        def read(self, size=-1):
            return "text"

    class Blocking(Text):
        def read(self, size=-1):
            return None

    with pytest.raises(DataError, match="notes: is not open in binary mode"):
        sketchkit.read(Text())
    with pytest.raises(DataError, match="notes: gave no bytes: it would block"):
        sketchkit.read(Blocking())


def test_an_error_of_the_stream_is_told_with_its_name():
    class Broken(io.RawIOBase):
        name = "socket"

        def __init__(self):
            self.rest = ROOF * 20_000

        def readable(self):
            return True

        def readinto(self, buffer):
            if not self.rest:
                raise ConnectionResetError(104, "Connection reset by peer")
            count = min(len(buffer), len(self.rest))
            buffer[:count], self.rest = self.rest[:count], self.rest[count:]
            return count

    with pytest.raises(DataError, match="socket: cannot be read as quickdraw: Connection reset by peer"):
        sketchkit.read(Broken())


@pytest.mark.timeout(60)
def test_a_real_pipe_in_and_out():
    code = "import sketchkit\nsketchkit.write(sketchkit.scan('-', chunk=100), '-', format='quickdraw')\n"
    for data in (ROOF * 1000, gzip.compress(ROOF * 1000)):
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
        assert done.stdout == ROOF * 1000


@pytest.mark.timeout(60)
def test_a_pipe_is_read_as_it_comes():
    # The first set is here before the writer has written the rest, so waiting for that would be for ever.
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb") as pipe:  # noqa: PTH123 -- descriptors, no paths
        pipe.write(ROOF * 1300)  # less than a pipe holds
        pipe.flush()
        sets = sketchkit.scan(stream, chunk=10)
        assert len(next(sets)) == 10
        pipe.close()
        assert sum(map(len, sets)) == 1290


# Peak memory. Each program reads far more than the bound from a stream that makes it, in a process of its own.
PROGRAM = """
import io, itertools, json, resource, struct, sys
import sketchkit

def record(kind):
    if kind == "ndjson":
        stroke = [list(range(64)), list(range(100, 164))]
        return json.dumps({"word": "roof", "key_id": "1", "drawing": [stroke] * 4}).encode() + b"\\n"
    stroke = struct.pack("<H", 64) + bytes(range(128))
    return struct.pack("<Q2sbIH", 7, b"CH", 1, 9, 4) + stroke * 4

class Made(io.RawIOBase):
    def __init__(self, kind, size):
        self.block = record(kind) * 1000
        self.left = size // len(self.block)
        self.rest = b""
    def readable(self):
        return True
    def readinto(self, buffer):
        if not self.rest and self.left:
            self.rest, self.left = self.block, self.left - 1
        count = min(len(buffer), len(self.rest))
        buffer[:count], self.rest = self.rest[:count], self.rest[count:]
        return count

def peak():
    # Where there is /proc: what getrusage tells begins with the peak of the process that started this one.
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

kind, packed, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
peaks = []
for total in (size // 16, size):
    stream = Made(kind, total) if packed == "plain" else open(packed, "rb")
    count = sum(len(drawings) for drawings in sketchkit.scan(stream, chunk=1024))
    peaks.append(peak())
print(json.dumps({"count": count, "expected": Made(kind, size).left * 1000, "peaks": peaks}))
"""
BOUND = 24 << 20


def peaks_of(*words):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *map(str, words)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("kind", "size"), [("ndjson", 60_000_000), ("bin", 200_000_000)])
def test_memory_does_not_grow_with_the_stream(kind, size):
    found = peaks_of(kind, "plain", size)
    assert found["count"] == found["expected"]
    assert found["peaks"][1] - found["peaks"][0] < BOUND < size // 2
    assert found["peaks"][1] < 500 << 20


@pytest.mark.timeout(60)
@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_memory_does_not_grow_with_what_a_packed_file_holds(suffix, tmp_path):
    stroke = (64).to_bytes(2, "little") + bytes(range(128))
    record = (7).to_bytes(8, "little") + b"CH\x01" + (9).to_bytes(4, "little") + (4).to_bytes(2, "little") + stroke * 4
    path = tmp_path / f"drawn.bin{suffix}"
    with path.open("wb") as file, packed_for(path, file) as stream:
        for _ in range(150):
            stream.write(record * 1000)
    found = peaks_of("bin", path, 0)
    assert found["count"] == 150_000
    assert found["peaks"][0] < 300 << 20, "80 MB were read, their floats alone are 300"


@pytest.mark.timeout(60)
def test_memory_does_not_grow_with_the_number_of_files(tmp_path):
    record = {"word": "roof", "drawing": [[list(range(64)), list(range(64))]] * 4}
    data = gzip.compress((json.dumps(record) + "\n").encode() * 1000)
    for index in range(40):
        (tmp_path / f"{index:02d}.ndjson.gz").write_bytes(data)
    code = (
        "import resource, sys, sketchkit\n"
        "def peak(count): return sum(map(len, sketchkit.scan(sorted(sys.argv[1:])[:count], chunk=500, threads=2)))\n"
        "few = peak(5), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "many = peak(40), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(few[0], many[0], many[1] - few[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, tmp_path.iterdir())], capture_output=True, text=True, check=True
    )
    few, many, grown = map(int, done.stdout.split())
    assert (few, many) == (5000, 40_000)
    assert grown * (1 if sys.platform == "darwin" else 1024) < BOUND, "30,000 more drawings are 60 MB as floats"


def test_pyarrow_unpacks_what_we_pack():
    target = io.BytesIO()
    with packed_for(Path("x.zst"), target) as stream:
        stream.write(DATA)
    assert pyarrow.CompressedInputStream(pyarrow.BufferReader(target.getvalue()), "zstd").read() == DATA
