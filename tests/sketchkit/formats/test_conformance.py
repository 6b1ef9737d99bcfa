"""What every format must do; a new format is a row in `format_samples.SAMPLES`."""

import gzip
import random
from pathlib import Path

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


def test_gzip_is_read_whatever_the_name_and_written_for_the_suffix(file_sample, tmp_path):
    path = written(file_sample, tmp_path)
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert_same(sketchkit.read(packed), file_sample.sketches, also=ALSO)

    suffixed = tmp_path / f"{path.name}.gz"
    sketchkit.write(file_sample.sketches, suffixed)
    assert gzip.decompress(suffixed.read_bytes()) == path.read_bytes()
    first = suffixed.read_bytes()
    sketchkit.write(file_sample.sketches, suffixed)
    assert suffixed.read_bytes() == first, "the same drawings give the same bytes"


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


def test_a_truncated_gzip_file_is_an_error_that_says_so(file_sample, tmp_path):
    packed = gzip.compress(written(file_sample, tmp_path).read_bytes())
    path = tmp_path / "packed.gz"
    for length in (5, len(packed) // 2, len(packed) - 4):
        path.write_bytes(packed[:length])
        with pytest.raises(DataError, match=r"packed.gz: the gzip data are damaged or cut short"):
            sketchkit.read(path, format=file_sample.format)


@pytest.mark.parametrize(
    ("name", "named"), [(name, named) for name in FILES for named in registry.names() if named != FILES[name].format]
)
def test_a_wrong_format_named_is_a_data_error(name, named, tmp_path):
    with pytest.raises(DataError, match=FILES[name].path):
        sketchkit.read(written(FILES[name], tmp_path), format=named)


def test_a_missing_folder_is_an_output_error(file_sample, tmp_path):
    with pytest.raises(OutputError, match=r"absent does not exist; create it first"):
        sketchkit.write(file_sample.sketches, tmp_path / "absent" / file_sample.path)


def damaged(data: bytes, rounds: int):
    generator = random.Random(20240607)
    for _ in range(rounds):
        changed = bytearray(data[: generator.randrange(2, len(data))] if generator.random() < 0.3 else data)
        for _ in range(generator.randrange(1, 5)):
            changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
        yield bytes(changed)


def outcome(path: Path, named: str) -> str:
    """What a reader makes of a file: drawings, or the words of one of our errors; anything else is a failure."""
    try:
        sketchkit.read(path, format=named).validate()
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
def test_damaged_gzip_files_give_our_errors(file_sample, tmp_path):
    data = gzip.compress(written(file_sample, tmp_path).read_bytes())
    path = tmp_path / "damaged.gz"
    for changed in damaged(data, 100):
        path.write_bytes(changed)
        words = outcome(path, file_sample.format)
        assert words == "drawings" or words.startswith(str(path))
