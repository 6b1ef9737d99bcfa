"""Folders, patterns and lists of files: what is read, in which order, and what is told of the rest."""

import gzip
import os
import shutil
import socket
import threading
import warnings
from collections import Counter

import numpy as np
import pytest

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError, FormatError, MissingDataError, SketchkitWarning
from sketchkit.folders import list_folder

from format_samples import SAMPLES, assert_same

GOOD = '{{"word":"{0}","key_id":"1","drawing":[[[0,9],[0,9]]]}}\n'
BAD = '{"word":"bad","key_id":"2","drawing":[[[0,9],[0]]]}\n'
TIMED = '{"word":"timed","key_id":"3","drawing":[[[0,9],[0,9],[0,40]]]}\n'


@pytest.fixture
def folder(tmp_path):
    """Files in an order that neither the disk nor the alphabet of whole paths has."""
    for name in ("b.ndjson", "a/z.ndjson", "a/deep/y.ndjson", "a-b.ndjson"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(GOOD.format(path.stem) * 2)
    return tmp_path / "root"


def labels(drawings):
    return drawings.columns["label"].tolist()


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_files_are_read_in_the_order_of_their_paths(folder, threads):
    drawings = sketchkit.read(folder, threads=threads)
    assert drawings.columns["file"].tolist() == [
        *["a/deep/y.ndjson"] * 2,
        *["a/z.ndjson"] * 2,
        *["a-b.ndjson"] * 2,
        *["b.ndjson"] * 2,
    ]
    assert labels(drawings) == ["y", "y", "z", "z", "a-b", "a-b", "b", "b"]


def test_a_list_is_read_in_its_order_and_twice_where_it_says_so(folder):
    paths = [folder / "b.ndjson", str(folder / "a" / "z.ndjson"), folder / "b.ndjson"]
    drawings = sketchkit.read(iter(paths))
    assert drawings.columns["file"].tolist() == [str(path) for path in paths for _ in range(2)]
    assert labels(sketchkit.read([folder / "a", folder / "b.ndjson"])) == ["y", "y", "z", "z", "b", "b"]
    assert sketchkit.read([folder / "a", folder / "b.ndjson"]).columns["file"][0] == f"{folder}/a/deep/y.ndjson"


def test_a_pattern_is_sorted(folder, monkeypatch):
    assert labels(sketchkit.read(f"{folder}/*.ndjson")) == ["a-b", "a-b", "b", "b"]
    assert labels(sketchkit.read(folder / "**" / "*.ndjson")) == ["y", "y", "z", "z", "a-b", "a-b", "b", "b"]
    monkeypatch.chdir(folder)
    assert sketchkit.read("**/[yb].ndjson").columns["file"].tolist() == [*["a/deep/y.ndjson"] * 2, *["b.ndjson"] * 2]
    assert len(sketchkit.read("**")) == 8


def test_a_file_whose_name_is_a_pattern_is_that_file(folder):
    (folder / "[b].ndjson").write_text(GOOD.format("brackets"))
    assert labels(sketchkit.read(folder / "[b].ndjson")) == ["brackets"]


def test_one_file_alone_has_no_column_that_says_so(folder):
    assert "file" not in sketchkit.read([folder / "b.ndjson"]).columns
    assert "file" not in sketchkit.read(folder / "a" / "deep").columns


def test_a_column_of_that_name_is_kept(folder):
    (folder / "own.ndjson").write_text('{"word":"own","file":"mine","drawing":[]}\n')
    assert sketchkit.read(folder).columns["file"].tolist()[-1] == "mine"


def test_formats_are_mixed(folder):
    sketchkit.write(SAMPLES["qmul"].sketches, folder / "ChairV2_Coordinate", format="qmul")
    (folder / "c.ndjson.gz").write_bytes(gzip.compress(GOOD.format("c").encode()))
    drawings = sketchkit.read(folder)
    assert Counter(drawings.columns["file"].tolist()) == {
        "ChairV2_Coordinate": 3,
        "a/deep/y.ndjson": 2,
        "a/z.ndjson": 2,
        "a-b.ndjson": 2,
        "b.ndjson": 2,
        "c.ndjson.gz": 1,
    }
    with pytest.warns(SketchkitWarning, match=r"passed over 5 files \(5 not in the format 'qmul'\)"):
        assert_same(sketchkit.read(folder, format="qmul"), SAMPLES["qmul"].sketches)


def test_svg_files_stay_one_source_beside_others(folder):
    sketchkit.write(SAMPLES["svg, folder"].sketches, folder / "drawn", format="svg")
    drawings = sketchkit.read(folder)
    assert Counter(drawings.columns["file"].tolist())["."] == 3
    assert len(drawings) == 11
    alone = sketchkit.read(folder / "drawn")
    assert "file" not in alone.columns
    assert_same(alone, SAMPLES["svg, folder"].sketches, also=("viewBox",))
    assert len(sketchkit.read(folder, format="svg")) == 3


def test_what_is_about_the_data_is_not_looked_at(folder):
    for name in ("photo/1.png", "photo/2.JPG", "README.md", "LICENSE", ".hidden.ndjson", ".git/x.ndjson", "__MACOSX/b"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\x89PNG")
    assert len(sketchkit.read(folder)) == 8


def test_unknown_files_are_passed_over_and_told_of(folder):
    (folder / "notes.json").write_text("[]")
    (folder / "a" / "empty.log").write_text("")
    expected = rf"^passed over 2 files \(2 in no known format\); the first: {folder}/a/empty.log$"
    with pytest.warns(SketchkitWarning, match=expected) as caught:
        assert len(sketchkit.read(folder)) == 8
    assert caught[0].filename == __file__
    with pytest.warns(SketchkitWarning, match=expected) as caught:
        assert sum(map(len, sketchkit.scan(folder))) == 8
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("name", "content", "fact"),
    [
        ("c.ndjson", b"", r"is empty \(0 bytes\)"),
        ("c.pkl", b"not a pickle", "no known format fits: starts with b'not a pickle'"),
        ("c.ndjson.gz", b"\x1f\x8b\x08\x00 damaged", "the gzip data are damaged or cut short"),
    ],
)
def test_a_file_that_claims_a_format_it_is_not_of_is_an_error(folder, name, content, fact):
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=rf'{folder}/{name}: {fact}.*on_error="skip"'):
        sketchkit.scan(folder)
    told = []
    with pytest.warns(SketchkitWarning, match=rf"skipped 1 bad records; the first: {folder}/{name}: {fact}"):
        assert len(sketchkit.read(folder, on_error="skip", on_skip=told.append)) == 8
    assert [(record.file, record.record) for record in told] == [(f"{folder}/{name}", "")]


def test_a_bad_file_of_a_list_is_an_error_at_once(folder):
    (folder / "c.txt").write_text("no drawing")
    with pytest.raises(FormatError, match=r"c\.txt: no known format fits"):
        sketchkit.scan([folder / "b.ndjson", folder / "c.txt"])
    with pytest.warns(SketchkitWarning, match=r"skipped 1 bad records; the first: .*c\.txt: no known format fits"):
        assert len(sketchkit.read([folder / "b.ndjson", folder / "c.txt"], on_error="skip")) == 2
    with pytest.raises(MissingDataError, match=r"absent: there is no such file"):
        sketchkit.scan([folder / "b.ndjson", folder / "absent"], on_error="skip")


def test_a_folder_of_nothing_says_what_was_there(tmp_path):
    (tmp_path / "notes.json").write_text("[]")
    with pytest.raises(FormatError, match=r"a folder without drawings; passed over 1 file \(1 in no known format\)"):
        sketchkit.read(tmp_path)
    with pytest.raises(FormatError, match="a folder without drawings"):
        sketchkit.read(tmp_path, format="quickdraw")
    with pytest.raises(FormatError, match="there is no format 'qickdraw'"):
        sketchkit.read(tmp_path, format="qickdraw")


def test_links_lead_nowhere_but_into_the_folder(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.ndjson").write_text(GOOD.format("secret"))
    (folder / "k-out.ndjson").symlink_to(outside / "secret.ndjson")
    (folder / "k-up.ndjson").symlink_to("../outside/secret.ndjson")
    (folder / "k-folder").symlink_to(outside)
    (folder / "k-loop").symlink_to(folder)
    (folder / "k-gone.ndjson").symlink_to("gone.ndjson")
    (folder / "k-inside.ndjson").symlink_to("b.ndjson")
    with pytest.warns(SketchkitWarning, match=r"passed over 5 files \(.*links out of the folder"):
        drawings = sketchkit.read(folder)
    assert labels(drawings)[-2:] == ["b", "b"]
    assert len(drawings) == 10
    reasons = Counter(why for _, why in list_folder(folder).passed_over)
    assert reasons == {"links out of the folder": 3, "links to folders": 1, "links to nowhere": 1}
    # The folder itself may be named by a link.
    (tmp_path / "named").symlink_to(folder / "a")
    assert len(sketchkit.read(tmp_path / "named")) == 4


@pytest.mark.timeout(20)
def test_pipes_and_sockets_are_not_opened(folder):
    os.mkfifo(folder / "pipe.ndjson")
    server = socket.socket(socket.AF_UNIX)
    here = os.open(folder, os.O_RDONLY)
    try:
        # The path of a socket must be short.
        server.bind(f"/proc/self/fd/{here}/socket.ndjson")
        with pytest.warns(SketchkitWarning, match=r"passed over 2 files \(2 pipes, sockets or devices\)"):
            assert len(sketchkit.read(folder)) == 8
    finally:
        server.close()
        os.close(here)


@pytest.mark.timeout(20)
def test_a_pipe_that_is_named_is_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(GOOD.format("piped") * 3))
    writer.start()
    assert labels(sketchkit.read(pipe)) == ["piped"] * 3
    writer.join()


def test_a_folder_that_cannot_be_listed_is_an_error(folder, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"deep: cannot be listed: Permission denied"):
        sketchkit.read(folder)


def test_point_columns_that_differ_name_both_files(folder):
    (folder / "b.ndjson").write_text(TIMED)
    expected = rf"{folder}/a/deep/y.ndjson: has no time, unlike {folder}/b.ndjson: one set cannot hold both"
    with pytest.raises(DataError, match=expected):
        sketchkit.read(folder)
    sets = list(sketchkit.scan(folder))
    assert [(len(drawings), list(drawings.point_columns)) for drawings in sets] == [(6, []), (1, ["time"])]


def test_scan_joins_small_files_where_their_columns_are_the_same(folder):
    (folder / "z.ndjson").write_text('{"word":"more","year":7,"drawing":[]}\n' * 5)
    sets = list(sketchkit.scan(folder, chunk=5))
    assert [len(drawings) for drawings in sets] == [4, 4, 5]
    assert_same(SketchSet.concat(sets), sketchkit.read(folder))


def everything(folder, threads, on_error):
    """What reading gives: drawings, records told of, warnings or the error, and in which order."""
    events = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            told = {"on_error": "skip", "on_skip": lambda record: events.append(str(record))} if on_error else {}
            sets = sketchkit.scan(folder, chunk=3, threads=threads, **told)
            events.extend((labels(part), part.columns["file"].tolist(), part.points.tobytes()) for part in sets)
        except DataError as error:
            events.append(str(error))
    return events, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("on_error", [False, True])
def test_threads_change_nothing(tmp_path, on_error):
    generator = np.random.default_rng(5)
    for index in range(40):
        lines = [BAD if share < 0.1 else GOOD.format(index) for share in generator.random(generator.integers(0, 30))]
        (tmp_path / f"{index:02d}.ndjson").write_text("\n" + "".join(lines))
    (tmp_path / "20.ndjson.gz").write_bytes(gzip.compress(GOOD.format("cut").encode() * 50)[:-9])
    alone = everything(tmp_path, 1, on_error)
    assert alone[0]
    assert bool(alone[1]) is on_error
    for threads in (2, 3, 16):
        assert everything(tmp_path, threads, on_error) == alone


def test_the_rest_of_a_damaged_file_is_left_out_when_asked(tmp_path):
    (tmp_path / "1.ndjson.gz").write_bytes(gzip.compress(GOOD.format("cut").encode() * 2000)[:-9])
    (tmp_path / "2.ndjson").write_text(GOOD.format("whole"))
    with pytest.warns(SketchkitWarning, match=r"1\.ndjson\.gz: the gzip data .*; the rest of the file is left out"):
        sets = list(sketchkit.scan(tmp_path, chunk=10, on_error="skip"))
    assert labels(SketchSet.concat(sets))[-1] == "whole"
    with pytest.raises(DataError, match=r"1\.ndjson\.gz: the gzip data are damaged or cut short"):
        sketchkit.read(tmp_path)


@pytest.mark.parametrize("threads", [1, 4])
def test_reading_may_end_early(folder, threads):
    before = threading.active_count()
    for _ in range(20):
        chunks = sketchkit.scan(folder, chunk=1, threads=threads)
        assert labels(next(chunks)) == ["y"]
        chunks.close()
    assert threading.active_count() == before


def test_real_packs_give_their_sketches(shared_data):
    chairs = sketchkit.read(shared_data / "chairv2")
    assert (len(chairs), "file" in chairs.columns) == (952, False)
    simplified = sketchkit.read(shared_data / "quickdraw" / "simplified")
    assert len(simplified) == 7375
    counts = Counter(simplified.columns["file"].tolist())
    assert len(counts) == 295
    assert set(counts.values()) == {25}
    assert len(sketchkit.read(f"{shared_data}/quickdraw/simpl*/[a-c]*.ndjson")) % 25 == 0
    assert len(sketchkit.read(shared_data / "tuberlin" / "svg")) == 12


def test_a_folder_of_many_small_files_is_read(tmp_path):
    for index in range(300):
        (tmp_path / f"{index}.ndjson").write_text(GOOD.format(index))
    assert len(sketchkit.read(tmp_path)) == 300
    assert [len(drawings) for drawings in sketchkit.scan(tmp_path)] == [300]
    shutil.rmtree(tmp_path)


def test_a_drawing_keeps_its_own_columns_beside_others(tmp_path):
    sketchkit.write(Sketch.from_strokes([[(0, 1)]], label="a", meta={"year": 3}), tmp_path / "a.ndjson")
    sketchkit.write(Sketch.from_strokes([[(0, 1)]], label="b"), tmp_path / "b.ndjson")
    assert sketchkit.read(tmp_path).columns["year"].tolist() == [3, None]
