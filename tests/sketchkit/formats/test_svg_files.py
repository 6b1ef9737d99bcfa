import gzip
import os
import threading

import numpy as np
import pytest

import sketchkit
from sketchkit.errors import DataError
from sketchkit.formats import svg_files
from sketchkit.formats.svg import read_svg, sketch_to_svg
from sketchkit.reading import SketchkitWarning

from format_samples import assert_same

# Known to the compiled reader, and not: a circle.
LINE, CIRCLE = '<svg viewBox="0 0 9 9"><path d="M{} 0h1"/></svg>', '<svg><circle cx="{}" r="1"/></svg>'


def fill(folder, texts):
    """One file a text, in numbered folders of ten."""
    for index, text in enumerate(texts):
        file = folder / f"{index // 10:03d}" / f"{index:05d}.svg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def mixed(count: int) -> list[str]:
    return [(CIRCLE if index % 7 == 3 else LINE).format(index) for index in range(count)]


@pytest.mark.parametrize("most_bytes", [1, 300, 2**23])
@pytest.mark.parametrize("chunk", [1, 7, 40, 1000])
def test_many_files_are_read_in_order_whatever_the_chunk_and_the_memory(tmp_path, monkeypatch, chunk, most_bytes):
    texts = mixed(150)
    fill(tmp_path, texts)
    monkeypatch.setattr(svg_files, "_MOST_BYTES", most_bytes)
    chunks = list(sketchkit.scan(tmp_path, chunk=chunk))
    assert [len(part) for part in chunks] == [chunk] * (150 // chunk) + [150 % chunk] * (150 % chunk > 0)
    drawings = sketchkit.SketchSet.concat(chunks).validate()
    assert drawings.columns["key"].tolist() == [f"{index // 10:03d}/{index:05d}" for index in range(150)]
    assert drawings.columns["label"].tolist() == [f"{index // 10:03d}" for index in range(150)]
    assert drawings.columns["viewBox"].tolist() == [None if "circle" in text else "0 0 9 9" for text in texts]
    for sketch, text in zip(drawings, texts, strict=True):
        assert sketch.points.tobytes() == read_svg(text).points.tobytes()


def test_what_is_skipped_is_counted_and_leaves_the_order_as_it_is(tmp_path):
    texts = mixed(300)
    for index in range(5, 300, 10):
        texts[index] = "<svg/>"
    fill(tmp_path, texts)
    with pytest.warns(SketchkitWarning, match=r"skipped 30 bad records; the first: .*: 000/00005\.svg: draws nothing"):
        drawings = sketchkit.read(tmp_path, on_error="skip")
    assert [int(key[-5:]) for key in drawings.columns["key"]] == [i for i in range(300) if i % 10 != 5]
    with pytest.raises(DataError, match=r"000/00005\.svg: draws nothing"):
        sketchkit.read(tmp_path)


def test_a_scan_that_is_left_early_leaves_no_threads(tmp_path):
    fill(tmp_path, mixed(400))
    before = threading.active_count()
    scanned = sketchkit.scan(tmp_path, chunk=10)
    assert len(next(scanned)) == 10
    scanned.close()
    assert threading.active_count() == before


def test_names_within_the_file_win_over_those_of_the_folder(tmp_path):
    house = sketchkit.Sketch.from_strokes([[(0, 0), (1, 1)]], label="hut & home", key="k")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.svg").write_text(sketch_to_svg(house))
    (tmp_path / "a" / "2.svg").write_text('<svg data-label="" data-key=""><path d="M0 0h1"/></svg>')
    drawings = sketchkit.read(tmp_path)
    assert drawings.columns["label"].tolist() == ["hut & home", "a"]
    assert drawings.columns["key"].tolist() == ["k", "a/2"]


def test_links_are_followed_within_the_folder_and_never_out_of_it(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "inside2"
    fill(inside, [LINE.format(1)])
    fill(outside, [LINE.format(2)])
    (inside / "link.svg").symlink_to(inside / "000" / "00000.svg")
    (inside / "folder").symlink_to(inside / "000")
    (inside / "folder.svg").symlink_to(outside / "000")
    passed = pytest.warns(
        SketchkitWarning, match=r"passed over 2 files \(1 links to folders, 1 links out of the folder\)"
    )
    with passed:
        drawings = sketchkit.read(inside)
    assert drawings.columns["key"].tolist() == ["000/00000", "link"]
    # The folder itself may be a link.
    (tmp_path / "named").symlink_to(inside)
    with passed:
        assert_same(sketchkit.read(tmp_path / "named"), drawings)
    for target, why in [
        (outside / "000" / "00000.svg", "2 links out of the folder"),
        ("../inside2/000/00000.svg", "2 links out of the folder"),
        ("/etc/passwd", "2 links out of the folder"),
        ("nowhere.svg", "1 links to nowhere"),
        ("out.svg", "1 links to nowhere"),
    ]:
        (inside / "out.svg").symlink_to(target)
        with pytest.warns(SketchkitWarning, match=rf"passed over 3 files \(.*{why}"):
            assert_same(sketchkit.read(inside), drawings)
        (inside / "out.svg").unlink()
    # A file that is named is read, wherever it links to.
    (tmp_path / "named.svg").symlink_to(outside / "000" / "00000.svg")
    assert sketchkit.read(tmp_path / "named.svg").points[0].tolist() == [2, 0]


def test_what_is_no_file_is_not_opened(tmp_path):
    fill(tmp_path, [LINE.format(1)])
    os.mkfifo(tmp_path / "pipe.svg")
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "link.svg").symlink_to("pipe.svg")
    with pytest.warns(SketchkitWarning, match="passed over 2 files \\(2 pipes, sockets or devices\\)"):
        assert sketchkit.read(tmp_path).columns["key"].tolist() == ["000/00000"]


def test_packed_files_do_not_explode(tmp_path, monkeypatch):
    monkeypatch.setattr(svg_files, "_MOST_UNPACKED", 1000)
    small, large = LINE.format(1), LINE.format(2) + " " * 100_000
    (tmp_path / "a.svgz").write_bytes(gzip.compress(small.encode()))
    (tmp_path / "b.svg.gz").write_bytes(gzip.compress(large.encode()))
    with pytest.raises(DataError, match=r"b\.svg\.gz: unpacks to more than"):
        sketchkit.read(tmp_path)
    with pytest.raises(DataError, match=r"b\.svg\.gz: unpacks to more than"):
        read_svg(tmp_path / "b.svg.gz")
    (tmp_path / "b.svg.gz").write_bytes(gzip.compress(small.encode())[:-6])
    with pytest.raises(DataError, match=r"b\.svg\.gz: the gzip data are damaged"):
        sketchkit.read(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_named(tmp_path):
    fill(tmp_path, [LINE.format(1)])
    (tmp_path / "000" / "00000.svg").chmod(0)
    with pytest.raises(DataError, match=r"000/00000\.svg: cannot be read: Permission denied"):
        sketchkit.read(tmp_path)


def test_files_larger_than_one_read_are_whole(tmp_path):
    points = np.random.default_rng(0).uniform(0, 100, (20_000, 2)).astype(np.float32)
    text = sketch_to_svg(sketchkit.Sketch.from_strokes([points]))
    assert len(text) > 3 * svg_files._BLOCK
    for extra in range(3):
        (tmp_path / f"{extra}.svg").write_text(text + " " * (svg_files._BLOCK * 6 - len(text) - 1 + extra))
    for sketch in sketchkit.read(tmp_path):
        assert sketch.points.tobytes() == points.tobytes()
