import importlib.metadata
import io
import json
import subprocess
import sys
import warnings

import pytest

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError, FormatError, MissingDataError, ParameterError
from sketchkit.formats import registry
from sketchkit.formats.registry import Format
from sketchkit.formats.source import in_chunks
from sketchkit.reading import SketchkitWarning

from format_samples import SAMPLES

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


def test_a_json_list_of_strokes_is_no_format_and_the_message_says_what_takes_it(tmp_path):
    path = tmp_path / "strokes.json"
    path.write_text("[[[0, 9], [5, 0], [9, 9]]]")
    with pytest.raises(FormatError, match=r"Sketch\.from_strokes takes what json\.load makes of a list of strokes"):
        sketchkit.read(path)
    assert len(sketchkit.Sketch.from_strokes(json.loads(path.read_text())).points) == 3


def test_a_folder_without_drawings_says_so(tmp_path):
    with pytest.raises(FormatError, match="a folder without drawings"):
        sketchkit.read(tmp_path)


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


def test_a_format_may_read_the_whole_in_its_own_way(dots_file, monkeypatch):
    def read_dots(source, problems):
        problems.add(DataError("has a dot too many"), "record 0")
        return SAMPLES["svg"].sketches

    monkeypatch.setattr(registry, "_registered", {})
    registry.register(Format("dots", (".dots",), sniff_dots, scan_dots, read=read_dots))
    with pytest.raises(DataError, match="drawings: record 0: has a dot too many"):
        sketchkit.read(dots_file)
    with pytest.warns(SketchkitWarning, match="skipped 1 bad records"):
        assert sketchkit.read(dots_file, on_error="skip") is SAMPLES["svg"].sketches
    assert len(SketchSet.concat(sketchkit.scan(dots_file))) == 2


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
print(sorted({"svgpathtools", "torch", "scipy.linalg"} & set(sys.modules)))  # numba asks for scipy's version
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_on_skip_is_told_of_every_record_in_order(shoes):
    told = []
    with pytest.warns(SketchkitWarning, match="skipped 2 bad records"):
        sketchkit.read(shoes, on_error="skip", on_skip=told.append)
    assert [(record.file, record.record.partition(" (")[0]) for record in told] == [
        (str(shoes), "record 1"),
        (str(shoes), "record 3"),
    ]
    assert told[0].fact == "stroke 1 has 3 x but 2 y; they must be equal"
    assert str(told[0]).startswith(f"{shoes}: record 1 (line 3, byte ")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), DataError("mine"), KeyError("mine")])
def test_what_on_skip_raises_is_not_blamed_on_the_file(shoes, error):
    def full(record):
        raise error

    for source, threads in ((shoes, 1), ([shoes, shoes], 2)):
        with pytest.raises(type(error)) as caught:
            sketchkit.read(source, on_error="skip", on_skip=full, threads=threads)
        assert caught.value is error


def test_warnings_point_to_the_caller(shoes):
    for call in (sketchkit.read, lambda *args, **named: list(sketchkit.scan(*args, **named))):
        with pytest.warns(SketchkitWarning) as caught:
            call(shoes, on_error="skip")
        assert [warning.filename for warning in caught] == [__file__]


def test_on_skip_is_not_called_where_nothing_is_skipped(shoes):
    told = []
    with pytest.raises(DataError):
        sketchkit.read(shoes, on_skip=told.append)
    assert told == []


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_threads_are_a_whole_number(shoes, threads):
    with pytest.raises(ParameterError, match="threads must be a whole number of at least 1"):
        sketchkit.scan(shoes, threads=threads)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"drawings", "bytes are neither a path nor a stream"),
        (7, "expected a path, a list of paths or a binary stream, not int"),
        ([7], "expected a path or a binary stream, not int"),
        (SAMPLES["quickdraw"].sketches, "not Sketch"),
        (io.StringIO("drawings"), "a StringIO is open as text; open it in binary mode"),
    ],
)
def test_what_is_no_source_is_refused(given, message):
    with pytest.raises(ParameterError, match=message):
        sketchkit.read(given)


def test_an_empty_list_and_a_pattern_of_nothing_are_missing_data(tmp_path):
    with pytest.raises(MissingDataError, match="the list of files to read is empty"):
        sketchkit.read([])
    with pytest.raises(MissingDataError, match="nothing fits this pattern"):
        sketchkit.read(f"{tmp_path}/*.ndjson")
