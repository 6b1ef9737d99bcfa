import gzip
import io
import sys
import warnings

import numpy as np
import pyarrow
import pytest

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError, FormatError, OutputError, ParameterError, SketchkitWarning
from sketchkit.formats import registry
from sketchkit.formats.registry import Format

from format_samples import SAMPLES, assert_same

HOUSES = SAMPLES["quickdraw"].sketches


def test_a_single_drawing_keeps_its_label_and_key(tmp_path):
    house = Sketch.from_strokes([[(0, 1), (2, 3)]], label="house", key="h")
    sketchkit.write(house, tmp_path / "house.ndjson")
    back = sketchkit.read(tmp_path / "house.ndjson")[0]
    assert (back.label, back.key) == ("house", "h")


def test_write_takes_an_iterable(tmp_path):
    sketchkit.write((sketch for sketch in SAMPLES["quickdraw"].sketches), tmp_path / "some.ndjson")
    assert_same(sketchkit.read(tmp_path / "some.ndjson"), SAMPLES["quickdraw"].sketches)


def test_write_refuses_what_it_cannot_name(tmp_path):
    house = SAMPLES["quickdraw"].sketches
    with pytest.raises(FormatError, match=r"the suffix '\.txt' is of no known format; use one of .*\.jsonl, \.ndjson"):
        sketchkit.write(house, tmp_path / "house.txt")
    with pytest.raises(FormatError, match="there is no format 'csv'"):
        sketchkit.write(house, tmp_path / "house.txt", format="csv")
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_has_no_place_for_is_told(tmp_path):
    timed = SAMPLES["quickdraw, raw"].sketches
    with pytest.warns(SketchkitWarning, match=r"the format 'qmul' has no place for label, time; left out"):
        sketchkit.write(timed, tmp_path / "timed.pkl")
    assert sketchkit.read(tmp_path / "timed.pkl").points.tobytes() == timed.points.tobytes()


def test_a_failed_write_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "house.ndjson"
    sketchkit.write(SAMPLES["quickdraw"].sketches, path)
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"house\.ndjson: sketch 1 has the point \(nan, 1\.0\)"):
        sketchkit.write([SAMPLES["quickdraw"].sketches[0], Sketch.from_strokes([[(np.nan, 1)]])], path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_no_file_to_write(tmp_path):
    with pytest.raises(OutputError, match="it is a folder"):
        sketchkit.write(SAMPLES["quickdraw"].sketches, tmp_path, format="quickdraw")


def test_an_empty_set_is_written_and_read(tmp_path):
    sketchkit.write(SketchSet.from_sketches([]), tmp_path / "none.ndjson")
    assert len(sketchkit.read(tmp_path / "none.ndjson")) == 0


# A format that writes set by set: how many drawings each has.
def write_counts(sets, stream):
    for drawings in sets:
        stream.write(b"%d\n" % len(drawings))


COUNTS = Format(
    "counts",
    (".counts",),
    lambda head, path: False,
    lambda source, *, chunk, problems: iter(()),
    write_chunks=write_counts,
    columns=frozenset({"label"}),
)


@pytest.fixture
def counts(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "_registered", {})
    registry.register(COUNTS)
    return tmp_path / "drawn.counts"


def bare(drawings):
    return drawings.with_columns(label=drawings.columns["label"]).__class__(
        drawings.points, drawings.stroke_offsets, drawings.sketch_offsets, {"label": drawings.columns["label"]}
    )


def test_sets_are_written_one_after_the_other(counts):
    drawings = bare(HOUSES)
    made = []

    def sets():
        for index in range(3):
            made.append((index, counts.parent.exists() and [path.stat().st_size for path in counts.parent.iterdir()]))
            yield drawings[:index]

    sketchkit.write(sets(), counts)
    assert counts.read_text() == "0\n1\n2\n"
    assert [index for index, _ in made] == [0, 1, 2]
    assert all(len(sizes) == 1 for _, sizes in made), "the file was open while the sets were made"


def test_drawings_one_by_one_are_gathered_into_sets(counts):
    house = Sketch.from_strokes([[(0, 1), (2, 3)]], label="house")
    sketchkit.write((house for _ in range(5000)), counts)
    assert counts.read_text() == "4096\n904\n"


def test_one_drawing_one_set_and_none_are_sets_too(counts):
    for given, text in ((bare(HOUSES)[0], "1\n"), (bare(HOUSES), "3\n"), ([], ""), (iter(()), "")):
        sketchkit.write(given, counts)
        assert counts.read_text() == text


def test_losses_of_all_sets_are_told_of_once(counts):
    timed = SAMPLES["quickdraw, raw"].sketches
    with pytest.warns(SketchkitWarning) as caught:
        sketchkit.write(iter([bare(HOUSES), timed, HOUSES]), counts)
    assert [str(warning.message) for warning in caught] == [
        f"{counts}: the format 'counts' has no place for countrycode, key, recognized, time, timestamp; left out"
    ]
    assert caught[0].filename == __file__


def test_sets_and_drawings_are_not_mixed(counts):
    with pytest.raises(ParameterError, match="the first item is a SketchSet, so all must be, not a Sketch"):
        sketchkit.write([bare(HOUSES), HOUSES[0]], counts)
    with pytest.raises(ParameterError, match="from_sketches takes Sketch objects, not SketchSet"):
        sketchkit.write([HOUSES[0], HOUSES], counts)
    with pytest.raises(ParameterError, match="expected a Sketch, a SketchSet or an iterable of either, not int"):
        sketchkit.write(3, counts)
    assert not counts.exists()


@pytest.mark.parametrize("error", [DataError("in.ndjson: record 4 is bad"), OSError(5, "gone"), ValueError("mine")])
def test_an_error_of_the_drawings_is_not_blamed_on_the_target(counts, error):
    def sets():
        yield bare(HOUSES)
        raise error

    counts.write_text("earlier")
    with pytest.raises(type(error)) as caught:
        sketchkit.write(sets(), counts)
    assert caught.value is error
    assert counts.read_text() == "earlier"
    assert list(counts.parent.iterdir()) == [counts]


def test_reading_and_writing_one_file_at_once_is_safe(tmp_path):
    path = tmp_path / "house.ndjson"
    sketchkit.write(HOUSES, path)
    sketchkit.write(sketchkit.scan(path, chunk=1), path)
    assert_same(sketchkit.read(path), HOUSES)


def test_packing_follows_the_suffix_and_depends_on_nothing_else(tmp_path):
    plain = tmp_path / "house.ndjson"
    sketchkit.write(HOUSES, plain)
    for suffix, unpack in ((".gz", gzip.decompress), (".zst", unpack_zstd), (".ZST", unpack_zstd)):
        packed = tmp_path / f"house.ndjson{suffix}"
        sketchkit.write(HOUSES, packed)
        first = packed.read_bytes()
        assert unpack(first) == plain.read_bytes()
        sketchkit.write(HOUSES, packed)
        assert packed.read_bytes() == first


def unpack_zstd(data):
    return pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd").read()


def test_a_stream_is_written_to_and_left_open(tmp_path):
    sketchkit.write(HOUSES, tmp_path / "house.ndjson")
    stream = io.BytesIO(b"before\n")
    stream.seek(0, io.SEEK_END)
    sketchkit.write(HOUSES, stream, format="quickdraw")
    assert stream.getvalue() == b"before\n" + (tmp_path / "house.ndjson").read_bytes()


def test_standard_output_is_written_to(tmp_path, monkeypatch):
    sketchkit.write(HOUSES, tmp_path / "house.ndjson")
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer))
    sketchkit.write(HOUSES, "-", format="quickdraw")
    assert buffer.getvalue() == (tmp_path / "house.ndjson").read_bytes()


def test_a_stream_needs_a_format_and_a_stream(monkeypatch):
    with pytest.raises(ParameterError, match="standard output has no suffix to choose a format by"):
        sketchkit.write(HOUSES, "-")
    with pytest.raises(ParameterError, match="a BytesIO has no suffix"):
        sketchkit.write(HOUSES, io.BytesIO())
    with pytest.raises(ParameterError, match="expected a path or a binary stream to write to, not int"):
        sketchkit.write(HOUSES, 3, format="quickdraw")


def test_a_broken_pipe_is_an_output_error():
    class Gone(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(OutputError, match="a Gone: cannot be written: Broken pipe") as caught:
        sketchkit.write(HOUSES, Gone(), format="quickdraw")
    assert isinstance(caught.value.__cause__, BrokenPipeError)


def test_nothing_is_told_when_nothing_is_lost(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sketchkit.write(iter([HOUSES, HOUSES]), tmp_path / "houses.ndjson")
    assert len(sketchkit.read(tmp_path / "houses.ndjson")) == 6
