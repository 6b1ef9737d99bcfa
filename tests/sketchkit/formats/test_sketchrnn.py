"""sketch-rnn's archives; the independent reader is numpy's own, on files that are ours or known."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError
from sketchkit.formats import npz_archive, sketchrnn
from sketchkit.formats.plain_pickle import list_start, load_plain
from sketchkit.reading import SketchkitWarning

from format_samples import SAMPLES, assert_same
from zoo import FINITE, zoo_set

ROWS = np.array([[3, 4, 0], [1, -1, 1], [5, 0, 0], [0, 2, 1]], np.int16)


def objects(*items):
    return np.fromiter(items, dtype=object, count=len(items))


def saved(tmp_path, **splits):
    path = tmp_path / "cat.npz"
    np.savez_compressed(path, **splits)
    return path


def pickled(tmp_path, data, length, header=None):
    """An archive whose `train` is this pickle."""
    header = header or f"{{'descr': '|O', 'fortran_order': False, 'shape': ({length},), }}"
    with zipfile.ZipFile(tmp_path / "cat.npz", "w") as archive:
        text = header.encode() + b"\n"
        archive.writestr("train.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data)
    return tmp_path / "cat.npz"


def upstream(path):
    """As sketch-rnn's own utils.py reads it."""
    return np.load(path, allow_pickle=True, encoding="latin1")


def expected_of(rows):
    sketch = Sketch.from_stroke3(rows)
    return [stroke.tolist() for stroke in sketch.strokes]


def strokes_of(sketch):
    return [stroke.tolist() for stroke in sketch.strokes]


# Read


def test_steps_become_places(tmp_path):
    path = saved(tmp_path, valid=objects(ROWS[:2]), train=objects(ROWS, ROWS[:3]), test=objects())
    cats = sketchkit.read(path)
    assert cats.columns["split"].tolist() == ["train", "train", "valid"]
    assert strokes_of(cats[0]) == [[[3, 4], [4, 3]], [[9, 3], [9, 5]]]
    assert [len(stroke) for stroke in cats[1].strokes] == [2, 1]


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "i4", "i8", "f2", "f4", "f8", ">i2", ">f4"])
def test_any_numbers_are_read(tmp_path, kind):
    rows = abs(ROWS).astype(kind)
    cats = sketchkit.read(saved(tmp_path, train=objects(rows, rows[:1], rows)))
    assert [strokes_of(cat) for cat in cats] == [expected_of(each) for each in (rows, rows[:1], rows)]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("count", [1, 2, 3, 300, 999, 1000, 1001, 1002, 2500])
def test_the_kernel_and_the_stack_machine_agree(tmp_path, monkeypatch, protocol, count):
    generator = np.random.default_rng(count)
    rows = [
        np.c_[generator.integers(-900, 900, (n, 2)), np.ones(n)].astype("i2") for n in generator.integers(1, 99, count)
    ]
    path = pickled(tmp_path, pickle.dumps(objects(*rows), protocol), count)
    quick = sketchkit.read(path)
    # Protocol 2 calls for bytes, protocol 5 has another way to write arrays, and 1,001 items end in one by itself.
    if protocol in (3, 4) and count > 1:
        assert sketchrnn._found_rows(
            npz_archive.Member("train", "|O", (count,), False, memoryview(pickle.dumps(objects(*rows), protocol)))
        )
    monkeypatch.setattr(sketchrnn, "_found_rows", lambda member: None)
    assert_same(sketchkit.read(path), quick)
    assert len(quick) == count


def test_arrays_of_several_types_are_read_by_the_stack_machine(tmp_path):
    rows = [ROWS, ROWS.astype("f4"), ROWS.astype("i4"), np.asfortranarray(ROWS), ROWS[:0]]
    cats = sketchkit.read(saved(tmp_path, train=objects(*rows)))
    assert [strokes_of(cat) for cat in cats] == [expected_of(each) for each in rows]


def test_stroke5_is_read_up_to_its_end(tmp_path):
    sketches = [FINITE["negative coordinates"], FINITE["hook"]]
    rows = [sketch.to_stroke5(20) for sketch in sketches]
    for train in (objects(*rows), np.stack(rows)):
        assert [strokes_of(cat) for cat in sketchkit.read(saved(tmp_path, train=train))] == [
            strokes_of(sketch) for sketch in sketches
        ]
    rows[1][0, 4] = 1
    with pytest.raises(DataError, match=r"record 1 \(of train\): has pens of stroke-5 other than one 1"):
        sketchkit.read(saved(tmp_path, train=objects(*rows)))


def test_members_that_are_one_array_are_read(tmp_path):
    # numpy makes these of drawings of one length: numbers, or each number an object.
    for train in (np.stack([ROWS, ROWS]), np.array([ROWS, ROWS], dtype=object)):
        cats = sketchkit.read(saved(tmp_path, train=train, valid=np.array([]), test=np.array([])))
        assert [strokes_of(cat) for cat in cats] == [expected_of(ROWS)] * 2
    one = sketchkit.read(saved(tmp_path, cat=ROWS, dog=ROWS[:2], test=ROWS[:1]))
    assert one.columns["split"].tolist() == ["test", "cat", "dog"]
    assert strokes_of(one[1]) == expected_of(ROWS)


# Written


def test_upstream_s_line_reads_what_is_written(tmp_path):
    sketchkit.write(SAMPLES["sketch-rnn"].sketches, tmp_path / "house.npz")
    splits = upstream(tmp_path / "house.npz")
    assert {split: len(splits[split]) for split in splits} == {"train": 3, "valid": 1, "test": 1}
    assert splits["train"][0].dtype == np.int16
    assert splits["train"][0].tolist() == [[0, 255, 0], [128, -255, 0], [127, 255, 1], [-555, 0, 0], [555, 0, 1]]
    assert splits["train"][2].shape == (0, 3)
    with zipfile.ZipFile(tmp_path / "house.npz") as archive:
        assert b"numpy._core" not in archive.read("train.npy"), "older numpy knows no such module"


@pytest.mark.parametrize(
    ("places", "kind"), [([(0, 1), (300, -2)], "i2"), ([(0, 1), (40000, -2)], "i4"), ([(0.5, 1), (1e10, 2)], "f8")]
)
def test_the_smallest_type_that_holds_the_steps(tmp_path, places, kind):
    drawings = SketchSet.from_sketches([Sketch.from_strokes([places], meta={"split": "dev"})])
    sketchkit.write(drawings, tmp_path / "odd.npz")
    assert upstream(tmp_path / "odd.npz")["dev"][0].dtype == kind
    assert_same(sketchkit.read(tmp_path / "odd.npz"), drawings)


def test_the_zoo_comes_back_but_for_empty_strokes(tmp_path):
    drawings = zoo_set()
    filled = drawings.keep_strokes(np.diff(drawings.stroke_offsets) > 0)
    drawings = SketchSet(drawings.points, drawings.stroke_offsets, drawings.sketch_offsets)
    sketchkit.write(drawings, tmp_path / "zoo.npz")
    found = sketchkit.read(tmp_path / "zoo.npz")
    np.testing.assert_array_equal(found.stroke_offsets, filled.stroke_offsets)
    np.testing.assert_array_equal(found.sketch_offsets, filled.sketch_offsets)
    for one, other in zip(found, filled, strict=True):
        greatest = np.abs(other.points).max(initial=0)
        there = np.abs(other.points) >= greatest * 2.0**-28
        np.testing.assert_array_equal(one.points[there], other.points[there])
        np.testing.assert_allclose(one.points, other.points, rtol=0, atol=len(other.points) * 2.0**-53 * greatest)


# Coordinates on a grid of 1/1024 up to 1024 are within 2^20 of each other; 2^28 is promised.
@given(st.lists(st.lists(st.tuples(*[st.integers(-(2**20), 2**20)] * 2), min_size=1, max_size=9), max_size=5))
def test_fractions_come_back_as_they_were(strokes):
    drawing = SketchSet.from_sketches([Sketch.from_strokes([np.array(stroke) / 1024 for stroke in strokes])])
    stream = io.BytesIO()
    sketchrnn.write(drawing, stream)
    rows = upstream(io.BytesIO(stream.getvalue()))["train"][0]
    assert strokes_of(Sketch.from_stroke3(rows)) == strokes_of(drawing[0])


@pytest.mark.parametrize("split", ["../a", "", None, "ä", 3])
def test_a_split_that_is_no_name_is_refused(tmp_path, split):
    drawings = SketchSet.from_sketches([FINITE["hook"]]).with_columns(split=objects(split))
    with pytest.raises(DataError, match=r"sketch 0 has the split .*; it must be a name such as train, valid, test"):
        sketchkit.write(drawings, tmp_path / "odd.npz")


# Damage, and worse


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("text", r"record 1 \(of train\): holds a str, not an array"),
        (ROWS[:, :2], r"record 1 \(of train\): has the shape \(4, 2\)"),
        (ROWS * [1, 1, 2], r"record 1 \(of train\): has a pen other than 0, or 1"),
        ((ROWS * [1, 1, 2]).astype(np.int16), r"record 1 \(of train\): has a pen other than 0, or 1"),
        (ROWS * [np.nan, 1, 1], "has a step that is not finite"),
        (np.where(ROWS == 5, np.inf, ROWS), "has a step that is not finite"),
        (ROWS * [1e300, 1, 1], "beyond what float32 holds"),
    ],
)
def test_what_is_no_drawing_is_refused_or_skipped(tmp_path, item, words):
    path = saved(tmp_path, train=objects(ROWS, item, ROWS))
    with pytest.raises(DataError, match=words):
        sketchkit.read(path)
    with pytest.warns(SketchkitWarning, match="skipped 1 bad records"):
        assert [strokes_of(cat) for cat in sketchkit.read(path, on_error="skip")] == [expected_of(ROWS)] * 2


class Culprit:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.environ["CULPRIT"],)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_nothing_is_run(tmp_path, monkeypatch, protocol, place):
    monkeypatch.setenv("CULPRIT", str(tmp_path / "ran"))
    items = [ROWS, ROWS]
    items.insert(place, Culprit())
    path = pickled(tmp_path, pickle.dumps(objects(*items), protocol), 3)
    with pytest.raises(DataError, match=r"cat\.npz: train\.npy: byte \d+: names posix\.mkdir; only plain numpy arrays"):
        sketchkit.read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("culprit", [np.load, {"a"}, [ROWS], 3j, {"a": 1}, objects(ROWS)])
def test_what_is_no_plain_data_is_refused(tmp_path, culprit):
    with pytest.raises(DataError, match=r"cat\.npz: train\.npy: "):
        sketchkit.read(saved(tmp_path, train=objects(ROWS, culprit)))


def test_other_members_are_told(tmp_path):
    with pytest.raises(DataError, match=r"train\.npy holds '<U1', not plain numbers"):
        sketchkit.read(saved(tmp_path, train=np.array(["a"])))
    with pytest.raises(DataError, match=r"record 0 \(of scale\): has the shape \(\)"):
        sketchkit.read(saved(tmp_path, scale=np.array(3.0)))
    with zipfile.ZipFile(tmp_path / "cat.npz", "a") as archive:
        archive.writestr("../../notes.txt", "a")
    with pytest.raises(DataError, match=r"holds '\.\./\.\./notes\.txt', which is no \.npy file"):
        sketchkit.read(tmp_path / "cat.npz")


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(npz_archive, "_SPARE", 1 << 16)
    with zipfile.ZipFile(tmp_path / "cat.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.npy", bytes(1 << 22))
    with pytest.raises(DataError, match=r"train\.npy claims 4194304 bytes, packed into \d+; it is not unpacked"):
        sketchkit.read(tmp_path / "cat.npz")


def test_many_small_bombs_are_one_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(npz_archive, "_SPARE", 1 << 16)
    monkeypatch.setattr(npz_archive, "_MOST_UNPACKED", 2)
    path = saved(tmp_path, **{f"split{number}": np.zeros((1000, 3), np.int16) for number in range(40)})
    with pytest.raises(DataError, match=r"split\d+\.npy claims 6128 bytes, packed into \d+; it is not unpacked"):
        sketchkit.read(path)


def test_one_array_many_times_is_bounded(tmp_path):
    # pickle keeps one copy; its points would be a thousand times the file.
    many = np.zeros((1000, 3), np.int8)
    with pytest.raises(DataError, match="the arrays together are greater than the file"):
        sketchkit.read(saved(tmp_path, train=objects(*[many] * 1000)))


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|O', 'fortran_order': False, 'shape': (9,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (99999999999999999,), }",
        "{'descr': '<i2', 'fortran_order': False, 'shape': (99999999999999999, 3), }",
        "{'descr': [('a', '<i2')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (__import__('os'),), }",
        "(" * 9000,
        "{'descr': 'x'}",
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header):
    path = pickled(tmp_path, pickle.dumps(objects(ROWS, ROWS), 3), 2, header)
    with pytest.raises(DataError, match=r"cat\.npz: train\.npy"):
        sketchkit.read(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_arrays_are_read_only_when_asked(protocol):
    data = pickle.dumps(objects(ROWS, ROWS + 1), protocol)
    found = load_plain(data, objects=True)
    assert [rows.tolist() for rows in found] == [ROWS.tolist(), (ROWS + 1).tolist()]
    with pytest.raises(DataError, match="an array holds 'O8'; only plain numbers"):
        load_plain(data)


def test_a_start_is_only_of_a_list_of_arrays():
    for other in (ROWS, {"a": ROWS}, objects(), objects(1, 2), objects("a"), np.array([[1, "a"]], dtype=object), 3):
        assert list_start(pickle.dumps(other, 3)) is None
    assert list_start(b"\x80\x03(((") is None
    start = list_start(pickle.dumps(objects(ROWS, ROWS + 1), 3))
    assert (start.length, start.first.tolist()) == (2, ROWS.tolist())


# Single bytes of the pickle changed, with the checksum of the archive right: what the kernel takes, the machine takes.
def test_the_kernel_takes_nothing_that_the_machine_refuses(tmp_path, monkeypatch):
    for protocol in (3, 4):
        data = pickle.dumps(objects(ROWS, ROWS[:2], ROWS[:1]), protocol)
        agreed = 0
        for at in range(len(data)):
            for value in (0, 255, data[at] ^ 1, data[at] ^ 32):
                changed = data[:at] + bytes([value]) + data[at + 1 :]
                quick = sketchrnn._found_rows(npz_archive.Member("train", "|O", (3,), False, memoryview(changed)))
                if quick is None:
                    continue
                slow = load_plain(changed, objects=True)
                assert np.concatenate(slow.tolist()).tobytes() == quick[0].tobytes()
                assert [len(rows) for rows in slow] == quick[1].tolist()
                agreed += 1
        assert agreed > 50


# Real files


@pytest.mark.parametrize(("name", "sizes"), [("aaron_sheep", (7400, 300, 300)), ("omniglot", (30_000, 1000, 1000))])
def test_the_real_files(shared_data, tmp_path, name, sizes):
    path = shared_data / "sketchrnn" / f"{name}.npz"
    drawings = sketchkit.read(path).validate()
    split = drawings.columns["split"].tolist()
    assert tuple(split.count(each) for each in ("train", "valid", "test")) == sizes
    splits = upstream(path)
    expected = [rows for each in ("train", "valid", "test") for rows in splits[each]]
    places = np.concatenate([np.cumsum(rows[:, :2], axis=0) for rows in expected])
    np.testing.assert_array_equal(drawings.points, places)
    assert [int(rows[:, 2].sum()) for rows in expected] == np.diff(drawings.sketch_offsets).tolist()
    for index in range(0, len(expected), 97):
        assert strokes_of(drawings[index]) == expected_of(expected[index])
    assert SketchSet.concat(sketchkit.scan(path, chunk=1000)).points.tobytes() == drawings.points.tobytes()
    part = drawings[::50]
    sketchkit.write(part, tmp_path / "part.npz")
    assert_same(sketchkit.read(tmp_path / "part.npz"), part)


def test_drawings_without_bytes_are_not_believed(tmp_path):
    path = tmp_path / "claims.npz"
    np.savez(path, train=np.zeros((300_000, 0, 3), np.int16))
    with pytest.raises(DataError, match="claims 300000 drawings, and has no bytes"):
        sketchkit.read(path, format="sketch-rnn")


def test_damage_under_lzma_is_told(tmp_path):
    plain, path = tmp_path / "plain.npz", tmp_path / "lzma.npz"
    np.savez(plain, train=np.arange(3000, dtype=np.int16).reshape(100, 10, 3))
    with zipfile.ZipFile(plain) as given, zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("train.npy", given.read("train.npy"))
    data = bytearray(path.read_bytes())
    for place in range(60, 200):
        data[place] ^= 0x55
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="zip archive is damaged"):
        sketchkit.read(path, format="sketch-rnn")
