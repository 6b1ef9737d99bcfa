"""What every format must do; a new format is a row in `format_samples.SAMPLES`."""

import gzip
import io
import random
import sys
import warnings
from pathlib import Path

import pyarrow
import pytest

import sketchkit
from sketchkit.errors import DataError, OutputError, SketchkitError
from sketchkit.formats import registry

from format_samples import SAMPLES, Sample, assert_same, bytes_of

FILES = {name: sample for name, sample in SAMPLES.items() if Path(sample.path).suffix}
ALSO = ("viewBox",)


def written(sample: Sample, folder: Path) -> Path:
    path = folder / sample.path
    sketchkit.write(sample.sketches, path, format=sample.format)
    return path


@pytest.fixture(params=SAMPLES)
def sample(request):
    return SAMPLES[request.param]


@pytest.fixture(params=FILES)
def file_sample(request):
    return FILES[request.param]


def test_every_format_has_a_sample():
    assert {sample.format for sample in SAMPLES.values()} == set(registry.names())


def test_a_round_trip_gives_the_same_and_changes_nothing(sample, tmp_path):
    before = bytes_of(sample.sketches)
    path = written(sample, tmp_path)
    assert bytes_of(sample.sketches) == before
    assert_same(sketchkit.read(path, format=sample.format), sample.sketches, also=ALSO)


def test_the_format_is_found_by_the_content(sample, tmp_path):
    path = written(sample, tmp_path)
    nameless = path.rename(tmp_path / "nameless")
    found = sketchkit.read(nameless)
    assert_same(found, sample.sketches, also=ALSO)


def test_a_wrong_suffix_does_not_mislead(file_sample, tmp_path):
    suffixes = {suffix for name in registry.names() for suffix in registry.lookup(name).suffixes}
    for suffix in sorted(suffixes - set(registry.lookup(file_sample.format).suffixes)):
        path = written(file_sample, tmp_path).rename(tmp_path / f"drawings{suffix}")
        assert_same(sketchkit.read(path), file_sample.sketches, also=ALSO)


def zstd(data: bytes) -> bytes:
    packed = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(data)
    return packed.getvalue().to_pybytes()


def from_zstd(data: bytes) -> bytes:
    return pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd").read()


PACKERS = {"gz": (gzip.compress, gzip.decompress), "zst": (zstd, from_zstd)}
each_packer = pytest.mark.parametrize("packer", PACKERS)


@each_packer
def test_packed_files_are_read_whatever_the_name_and_written_for_the_suffix(file_sample, packer, tmp_path):
    pack, unpack = PACKERS[packer]
    path = written(file_sample, tmp_path)
    packed = tmp_path / "packed"
    packed.write_bytes(pack(path.read_bytes()))
    assert_same(sketchkit.read(packed), file_sample.sketches, also=ALSO)

    suffixed = tmp_path / f"{path.name}.{packer}"
    sketchkit.write(file_sample.sketches, suffixed, format=file_sample.format)
    assert unpack(suffixed.read_bytes()) == path.read_bytes()
    first = suffixed.read_bytes()
    sketchkit.write(file_sample.sketches, suffixed, format=file_sample.format)
    assert suffixed.read_bytes() == first, "the same drawings give the same bytes"
    assert_same(sketchkit.read(suffixed), file_sample.sketches, also=ALSO)


@each_packer
def test_files_packed_in_parts_are_one_file(file_sample, packer, tmp_path):
    pack, _ = PACKERS[packer]
    data = written(file_sample, tmp_path).read_bytes()
    path = tmp_path / "parts"
    path.write_bytes(pack(data[:10]) + pack(b"") + pack(data[10:50]) + pack(data[50:]))
    assert_same(sketchkit.read(path), file_sample.sketches, also=ALSO)


class OneWay(io.RawIOBase):
    """What a pipe gives: some bytes at a time, and no way back."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.rest = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        count = min(len(buffer), 7, len(self.rest))
        buffer[:count], self.rest = self.rest[:count], self.rest[count:]
        return count


@pytest.mark.parametrize("stream", [io.BytesIO, OneWay, lambda data: io.BufferedReader(OneWay(data))])
@pytest.mark.parametrize("packer", [None, *PACKERS])
def test_streams_are_read_and_left_open(file_sample, stream, packer, tmp_path):
    data = written(file_sample, tmp_path).read_bytes()
    given = stream(data if packer is None else PACKERS[packer][0](data))
    for named in (None, file_sample.format):
        assert_same(sketchkit.read(given, format=named), file_sample.sketches, also=ALSO)
        assert not given.closed
        given = stream(data)


def test_a_stream_is_read_from_where_it_stands(file_sample, tmp_path):
    stream = io.BytesIO(b"before" + written(file_sample, tmp_path).read_bytes())
    stream.seek(6)
    assert_same(sketchkit.read(stream), file_sample.sketches, also=ALSO)


def test_standard_input_is_read(file_sample, tmp_path, monkeypatch):
    data = written(file_sample, tmp_path).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(OneWay(data))))
    assert_same(sketchkit.read("-"), file_sample.sketches, also=ALSO)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(DataError, match=r"^standard input: is empty \(0 bytes\)"):
        sketchkit.read("-")


@pytest.mark.parametrize("threads", [1, 3])
def test_a_folder_and_a_list_of_files_give_them_in_order(file_sample, threads, tmp_path):
    path = written(file_sample, tmp_path)
    suffix = path.suffix
    names = [f"{name}{suffix}" for name in ("a", "b/c", "d")]
    for name in names:
        copy = tmp_path / "many" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    expected = [name for name in names for _ in range(len(file_sample.sketches))]
    joined = sketchkit.SketchSet.concat([sketchkit.read(path)] * 3)
    if registry.lookup(file_sample.format).write_folder is None:
        found = sketchkit.read(tmp_path / "many", threads=threads)
        assert_same(found, joined, also=("file",))
        assert found.columns["file"].tolist() == expected
    for listed in ([tmp_path / "many" / name for name in names], f"{tmp_path}/many/**/*{suffix}"):
        found = sketchkit.read(listed, threads=threads)
        assert_same(found, joined, also=("file",))
        assert found.columns["file"].tolist() == [f"{tmp_path}/many/{name}" for name in expected]


def test_sets_are_written_as_what_they_join_to(sample, tmp_path):
    path = written(sample, tmp_path)
    again = tmp_path / "again" / path.name
    again.parent.mkdir()
    sketchkit.write(sketchkit.scan(path, chunk=1), again, format=sample.format)
    assert_same(sketchkit.read(again), sketchkit.read(path))
    sketchkit.write((drawing for drawing in sketchkit.read(path)), tmp_path / f"one-{path.name}", format=sample.format)
    assert_same(sketchkit.read(tmp_path / f"one-{path.name}"), sketchkit.read(path))


def test_a_stream_is_written_as_a_file_is(file_sample, tmp_path):
    stream = io.BytesIO()
    sketchkit.write(file_sample.sketches, stream, format=file_sample.format)
    assert stream.getvalue() == written(file_sample, tmp_path).read_bytes()


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_scan_gives_chunks_that_join_to_what_read_gives(sample, chunk, tmp_path):
    path = written(sample, tmp_path)
    chunks = list(sketchkit.scan(path, chunk=chunk))
    assert all(len(part) == chunk for part in chunks[:-1])
    assert 0 < len(chunks[-1]) <= chunk
    assert_same(sketchkit.SketchSet.concat(chunks), sketchkit.read(path))


def test_an_empty_file_is_an_error(file_sample, tmp_path):
    path = tmp_path / file_sample.path
    path.write_bytes(b"")
    for named in (None, file_sample.format):
        with pytest.raises(DataError, match=rf"{file_sample.path}: is empty \(0 bytes\)"):
            sketchkit.read(path, format=named)


def test_a_truncated_file_is_an_error_that_names_it(file_sample, tmp_path):
    path = written(file_sample, tmp_path)
    data = path.read_bytes()
    for length in (len(data) // 2, len(data) - 2):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=path.name):
            sketchkit.read(path, format=file_sample.format)


@each_packer
def test_a_truncated_packed_file_is_an_error_that_says_so(file_sample, packer, tmp_path):
    pack, _ = PACKERS[packer]
    packed = pack(written(file_sample, tmp_path).read_bytes())
    path = tmp_path / "packed"
    what = {"gz": "gzip", "zst": "zstandard"}[packer]
    for length in (5, len(packed) // 2, len(packed) - 4):
        for given in (packed[:length], packed + packed[:length]):
            path.write_bytes(given)
            with pytest.raises(DataError, match=rf"packed: the {what} data are damaged or cut short"):
                sketchkit.read(path, format=file_sample.format)


@pytest.mark.parametrize(
    ("name", "named"), [(name, named) for name in FILES for named in registry.names() if named != FILES[name].format]
)
def test_a_wrong_format_named_is_a_data_error(name, named, tmp_path):
    with pytest.raises(DataError, match=FILES[name].path):
        sketchkit.read(written(FILES[name], tmp_path), format=named)


def test_a_missing_folder_is_an_output_error(file_sample, tmp_path):
    with pytest.raises(OutputError, match=r"absent does not exist; create it first"):
        sketchkit.write(file_sample.sketches, tmp_path / "absent" / file_sample.path, format=file_sample.format)


def damaged(data: bytes, rounds: int):
    generator = random.Random(20240607)
    for _ in range(rounds):
        changed = bytearray(data[: generator.randrange(2, len(data))] if generator.random() < 0.3 else data)
        for _ in range(generator.randrange(1, 5)):
            changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
        yield bytes(changed)


def outcome(path: Path, named: str, **options) -> str:
    """What a reader makes of a file: drawings, or the words of one of our errors; anything else is a failure."""
    try:
        sketchkit.read(path, format=named, **options).validate()
    except SketchkitError as error:
        return str(error)
    return "drawings"


@pytest.mark.timeout(60)
def test_damaged_files_give_our_errors_or_drawings(file_sample, tmp_path):
    data = written(file_sample, tmp_path).read_bytes()
    path = tmp_path / "damaged"
    outcomes = set()
    for changed in damaged(data, 400):
        path.write_bytes(changed)
        outcomes.add(outcome(path, file_sample.format))
    errors = outcomes - {"drawings"}
    assert errors, "damage that is never noticed tests nothing"
    assert all(words.startswith(str(path)) for words in errors)


@pytest.mark.timeout(60)
@each_packer
def test_damaged_packed_files_give_our_errors(file_sample, packer, tmp_path):
    pack, _ = PACKERS[packer]
    data = pack(written(file_sample, tmp_path).read_bytes())
    path = tmp_path / "damaged"
    for changed in damaged(data, 100):
        path.write_bytes(changed)
        words = outcome(path, file_sample.format)
        assert words == "drawings" or words.startswith(str(path))


@pytest.mark.timeout(60)
def test_what_is_skipped_is_told_of_and_counted(file_sample, tmp_path):
    data = written(file_sample, tmp_path).read_bytes()
    path = tmp_path / "damaged"
    for changed in damaged(data, 200):
        path.write_bytes(changed)
        told = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            words = outcome(path, file_sample.format, on_error="skip", on_skip=told.append)
        expected = f"skipped {len(told)} bad records; the first: {told[0]}" if told else ""
        # A file that cannot be read to its end is an error, which comes before the sum.
        assert [str(warning.message) for warning in caught] == [expected] * bool(told and words == "drawings")
        assert words == "drawings" or words.startswith(str(path))
        assert all(record.file == str(path) and record.fact for record in told)
