import importlib.metadata
import subprocess
import sys
import warnings

import numpy as np
import pytest

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError, FormatError, MissingDataError, OutputError, ParameterError
from sketchkit.formats import registry
from sketchkit.formats.registry import Format
from sketchkit.formats.source import in_chunks
from sketchkit.reading import SketchkitWarning

from format_samples import SAMPLES, assert_same

LINES = [
    '{"word":"cat","key_id":"1","drawing":[[[0,9],[0,9]]]}',
    "",
    '{"word":"cat","key_id":"2","drawing":[[[0,9],[0,9]],[[1,2,3],[4,5]]]}',
    '{"word":"cat","key_id":"3","drawing":[[[0,9],[0,9]]]}',
    '{"word":"cat","key_id":"4","drawing":[[[0,"9"],[0,9]]]}',
]


@pytest.fixture
def shoes(tmp_path):
    path = tmp_path / "shoes.ndjson"
    path.write_text("\n".join(LINES) + "\n")
    return path


def test_an_error_names_file_record_place_fact_and_way_out(shoes):
    byte = len(LINES[0]) + 2
    with pytest.raises(DataError) as caught:
        sketchkit.read(shoes)
    assert str(caught.value) == (
        f"{shoes}: record 1 (line 3, byte {byte}): stroke 1 has 3 x but 2 y; they must be equal. "
        'To skip such records: on_error="skip".'
    )


def test_skipped_records_are_counted_and_the_first_is_told(shoes):
    with pytest.warns(SketchkitWarning) as caught:
        drawings = sketchkit.read(shoes, on_error="skip")
    assert drawings.columns["key"].tolist() == ["1", "3"]
    (warning,) = caught
    assert str(warning.message).startswith(f"skipped 2 bad records; the first: {shoes}: record 1 (line 3, byte ")


def test_nothing_is_warned_of_when_nothing_is_skipped(tmp_path):
    path = tmp_path / "cat.ndjson"
    path.write_text(LINES[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(sketchkit.read(path, on_error="skip")) == 1


def test_a_file_of_which_nothing_is_left_gives_an_empty_set(tmp_path):
    path = tmp_path / "cat.ndjson"
    path.write_text(LINES[4])
    with pytest.warns(SketchkitWarning, match="skipped 1 bad records"):
        assert len(sketchkit.read(path, on_error="skip")) == 0


def test_scan_gives_what_is_before_a_bad_record(shoes):
    chunks = sketchkit.scan(shoes, chunk=1)
    assert next(chunks).columns["key"].tolist() == ["1"]
    with pytest.raises(DataError, match="record 1"):
        next(chunks)


def test_scan_checks_its_arguments_before_the_first_chunk(shoes, tmp_path):
    for wrong in ({"chunk": 0}, {"on_error": "ignore"}):
        with pytest.raises(ParameterError):
            sketchkit.scan(shoes, **wrong)
    with pytest.raises(MissingDataError, match=r"absent\.ndjson: there is no such file"):
        sketchkit.scan(tmp_path / "absent.ndjson")
    with pytest.raises(FormatError, match=r"shoes.ndjson: there is no format 'qickdraw'; known formats are .*qmul, q"):
        sketchkit.scan(shoes, "qickdraw")


@pytest.mark.parametrize("content", [b"PK\x03\x04not drawings", b"<html></html>", b"x,y\n1,2\n", b"[1, 2]"])
def test_a_file_of_no_known_format_says_what_was_tried(content, tmp_path):
    path = tmp_path / "unknown"
    path.write_bytes(content)
    with pytest.raises(
        FormatError,
        match=r"unknown: no known format fits: starts with b.*; tried .*qmul, quickdraw, quickdraw-binary, ",
    ):
        sketchkit.read(path)


def test_a_folder_without_drawings_says_so(tmp_path):
    with pytest.raises(FormatError, match="a folder without drawings"):
        sketchkit.read(tmp_path)


def test_a_folder_read_as_a_file_format_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read as quickdraw: Is a directory"):
        sketchkit.read(tmp_path, format="quickdraw")


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


# A format of somebody else's: one drawing a line, "x,y x,y ...".
def sniff_dots(head, path):
    return head.startswith(b"#dots")


def scan_dots(source, *, chunk, problems):
    with source.open() as stream:
        lines = stream.read().decode().splitlines()[1:]
    yield from in_chunks((Sketch.from_strokes([[p.split(",") for p in line.split()]]) for line in lines), chunk)


DOTS = Format("dots", (".dots",), sniff_dots, scan_dots)


@pytest.fixture
def dots_file(tmp_path):
    path = tmp_path / "drawings"
    path.write_text("#dots\n1,2 3,4\n5,6 7,8\n")
    return path


def test_a_registered_format_is_found_and_read(dots_file, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    assert registry.register(DOTS) is DOTS
    assert sketchkit.read(dots_file).points.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert "dots" in registry.names()
    with pytest.raises(FormatError, match="'dots' is only read, not written"):
        sketchkit.write(SAMPLES["quickdraw"].sketches, dots_file, format="dots")
    with pytest.raises(ParameterError, match="there is a format 'dots' already"):
        registry.register(DOTS)
    with pytest.raises(ParameterError, match="lower case"):
        registry.register(Format("My Dots", (), sniff_dots, scan_dots))


@pytest.fixture
def packages_offer(monkeypatch):
    def offer(**values):
        points = [
            importlib.metadata.EntryPoint(name, value, registry.ENTRY_POINT_GROUP) for name, value in values.items()
        ]
        monkeypatch.setattr(registry, "entry_points", lambda group: points)
        registry._of_packages.cache_clear()
        registry._loaded.cache_clear()

    yield offer
    registry._of_packages.cache_clear()
    registry._loaded.cache_clear()


def test_a_format_of_another_package_is_found_by_its_entry_point(dots_file, packages_offer, monkeypatch):
    module = type(sys)("dots_package")
    module.FORMAT = DOTS
    monkeypatch.setitem(sys.modules, "dots_package", module)
    packages_offer(dots="dots_package:FORMAT")
    assert len(sketchkit.read(dots_file)) == 2


def test_a_broken_package_is_named_and_does_not_stop_a_named_format(packages_offer, tmp_path):
    packages_offer(dots="package_that_is_not_there:FORMAT", wrong="sketchkit.formats.svg:FORMAT")
    path = tmp_path / "cat.ndjson"
    path.write_text(LINES[0])
    with pytest.raises(FormatError, match=r"the format 'dots' \(package_that_is_not_there:FORMAT\) cannot be loaded"):
        sketchkit.read(path)
    with pytest.raises(FormatError, match="must name a Format called 'wrong'"):
        sketchkit.read(path, format="wrong")
    assert len(sketchkit.read(path, format="quickdraw")) == 1


def test_formats_are_imported_when_they_are_needed():
    code = """
import sys, sketchkit, sketchkit.reading
early = {"svgpathtools", "defusedxml", "sketchkit.formats.svg", "sketchkit.formats.quickdraw", "torch", "scipy"}
print(sorted(early & set(sys.modules)))
import sketchkit.formats.svg
print(sorted({"svgpathtools", "torch", "scipy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_an_empty_set_is_written_and_read(tmp_path):
    sketchkit.write(SketchSet.from_sketches([]), tmp_path / "none.ndjson")
    assert len(sketchkit.read(tmp_path / "none.ndjson")) == 0
