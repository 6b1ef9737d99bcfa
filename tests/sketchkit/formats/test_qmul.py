import hashlib
import os
import pickle
import pickletools
import struct

import numpy as np
import pytest

import sketchkit
from sketchkit import SketchSet
from sketchkit.errors import DataError
from sketchkit.formats.plain_pickle import load_plain

from format_samples import SAMPLES
from zoo import FINITE

ROWS = np.array([[33, 40.5, 0], [223, 41, 1], [50, 60, 0], [70, 80, 0], [90, 100, 1]])
KEY = "/train/CHABRA003GRY-UK_v1_PearlGrey_A1YX741QQSMKPS"


def read_object(tmp_path, drawings, protocol=3):
    path = tmp_path / "ShoeV2_Coordinate"
    path.write_bytes(pickle.dumps(drawings, protocol))
    return sketchkit.read(path, format="qmul")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", "<i4", "<i8", "<u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_numpy_pickles_is_read(tmp_path, protocol, kind, order):
    rows = np.array(ROWS.round(), kind, order=order)
    shoes = read_object(tmp_path, {KEY: rows}, protocol)
    assert [stroke.tolist() for stroke in shoes[0].strokes] == [rows[:2, :2].tolist(), rows[2:, :2].tolist()]


def test_keys_give_split_and_photo(tmp_path):
    shoes = read_object(tmp_path, {KEY: ROWS, "/test/2429245009_10": ROWS, "loose": ROWS})
    assert shoes.columns["key"].tolist() == [KEY, "/test/2429245009_10", "loose"]
    assert shoes.columns["split"].tolist() == ["train", "test", ""]
    assert shoes.columns["photo"].tolist() == ["CHABRA003GRY-UK_v1_PearlGrey", "2429245009", "loose"]
    assert shoes[0].meta == {"split": "train", "photo": "CHABRA003GRY-UK_v1_PearlGrey"}


def test_the_module_names_of_numpy_1_and_2_are_known(tmp_path):
    data = pickle.dumps({KEY: ROWS}, 3)
    path = tmp_path / "ShoeV2_Coordinate"
    for ours, theirs in ((b"numpy._core.", b"numpy.core."), (b"numpy.core.", b"numpy._core.")):
        path.write_bytes(data.replace(ours, theirs))
        assert len(sketchkit.read(path)[0].points) == 5


def test_a_pickle_of_python_2_is_read(tmp_path):
    # As cPickle.dump(drawings, file, 2) writes it: str is SHORT_BINSTRING, also the array's bytes.
    content = ROWS.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87R"
        b"(K\x01K\x05K\x03\x86cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U" + bytes([len(content)]) + content + b"tb"
    )
    data = b"\x80\x02}q\x00U" + bytes([len(KEY)]) + KEY.encode() + array + b"s."
    path = tmp_path / "ShoeV2_Coordinate"
    path.write_bytes(data)
    np.testing.assert_array_equal(pickle.loads(data, encoding="latin1")[KEY], ROWS)
    np.testing.assert_array_equal(sketchkit.read(path).points, ROWS[:, :2])


def test_a_last_stroke_without_a_lift_ends_with_the_drawing(tmp_path):
    shoes = read_object(tmp_path, {KEY: ROWS[:4]})
    assert [len(stroke) for stroke in shoes[0].strokes] == [2, 2]


def test_a_drawing_without_points_has_no_strokes(tmp_path):
    for protocol in (2, 3, 4, 5):
        assert len(read_object(tmp_path, {KEY: np.zeros((0, 3))}, protocol)[0].strokes) == 0


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("was-here",)


class Evaluates:
    def __reduce__(self):
        return eval, ("1 + 1",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("culprit", [RunsCode(), Evaluates(), os.system, np.load, {"a"}, 3j])
def test_what_would_run_code_is_refused_and_not_run(tmp_path, monkeypatch, protocol, culprit):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"ShoeV2_Coordinate: byte \d+: (names |the opcode )"):
        read_object(tmp_path, {KEY: ROWS, "/train/bad_1": culprit}, protocol)
    assert not (tmp_path / "was-here").exists()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([{"a": 1}], dtype=object), "an array holds 'O8'; only plain numbers"),
        (np.zeros(3, "f4,i4"), "an array holds 'V8'"),
        (np.array(["a"]), "an array holds 'U1'"),
        (np.array(["2020"], "M8[s]"), "an array holds 'M8'"),
        (np.zeros(3, complex), "an array holds 'c16'"),
        (ROWS[:, :2], r"record 1 \('/train/x_1'\): has the shape \(5, 2\); it must be \(points, 3\): x, y, pen"),
        (ROWS[0], r"has the shape \(3,\)"),
        ("text", "holds a str, not an array"),
        (ROWS * [[1, np.nan, 1]], "has a number that is not finite"),
        (ROWS * [[1, 1e40, 1]], "has a coordinate beyond what float32 holds"),
        (ROWS * [[1, 1, 2]], r"has the pen 2\.0; it must be 0, or 1 on the last point of a stroke"),
    ],
)
def test_what_is_no_drawing_is_refused(tmp_path, value, words):
    with pytest.raises(DataError, match=words):
        read_object(tmp_path, {KEY: ROWS, "/train/x_1": value})


def test_what_is_no_dictionary_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds a ndarray; a QMUL coordinate file holds a dictionary of arrays"):
        read_object(tmp_path, ROWS)
    with pytest.raises(DataError, match=r"record 0 \(3\): the key is no text"):
        read_object(tmp_path, {3: ROWS})


def array_pickle(shape: bytes, content: bytes) -> bytes:
    head = b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01" + shape
    kind = b"cnumpy\ndtype\nX\x02\x00\x00\x00f8K\x00K\x01\x87R"
    kind += b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return head + kind + b"\x89B" + struct.pack("<I", len(content)) + content + b"tb."


def long(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (array_pickle(long(10**12) + b"K\x03\x86", b"\0" * 24), r"takes 24000000000000 bytes, not 24"),
        (array_pickle(long(10**30) + b"K\x03\x86", b"\0" * 24), "bytes, not 24"),
        (array_pickle(long(-1) + b"K\x03\x86", b"\0" * 24), "shape is not up to 8 whole numbers"),
        (array_pickle(b"(" + b"K\x01" * 60 + b"t", b"\0" * 8), "shape is not up to 8 whole numbers"),
        # numpy's own constructors would reserve what the file claims: they are never called.
        (b"\x80\x03cnumpy\nndarray\n" + long(10**12) + b"\x85R.", "something is called that is no array"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", None),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"ab.", "cut short"),
        (b"\x80\x05\x8e" + struct.pack("<Q", 2**62) + b"ab.", "cut short"),
        (b"\x80\x03}cnumpy\ndtype\n}b.", "a state is given to what is no array"),
        (b"\x80\x03h\x07.", "something is fetched that was never kept"),
        (b"\x80\x03(((t.", "damaged or cut short"),
        (b"\x80\x03s.", "damaged or cut short"),
        (b"\x80\x03", "cut short"),
    ],
)
def test_hostile_pickles_neither_allocate_nor_hang(data, words):
    if words is None:
        assert load_plain(data) is None
        return
    with pytest.raises(DataError, match=words):
        load_plain(data)


def test_arrays_that_share_their_bytes_cannot_be_more_than_the_file():
    drawings = {f"/train/{index}_1": ROWS for index in range(3)}
    shared = pickletools.optimize(pickle.dumps(drawings, 3))
    with pytest.raises(DataError, match="the arrays together are greater than the file"):
        load_plain(_many_views(b"\0" * 2400, views=20))
    assert list(load_plain(shared)) == list(drawings), "the same array under several keys is no fault"


def _many_views(content: bytes, views: int) -> bytes:
    """A pickle of many arrays over bytes that are in the file once."""
    kind = b"cnumpy\ndtype\nX\x02\x00\x00\x00f8K\x00K\x01\x87Rq\x05"
    data = b"\x80\x03}B" + struct.pack("<I", len(content)) + content + b"q\x04"
    # The two values kept in the memo stay on the stack inside a tuple that is a value itself.
    data = data.replace(b"\x80\x03}", b"\x80\x03}X\x01\x00\x00\x00k", 1) + kind + b"\x86s"
    for index in range(views):
        data += b"X\x03\x00\x00\x00" + f"{index:03d}".encode()
        data += b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x64K\x03\x86h\x05\x89h\x04tbs"
    return data + b"."


def test_plain_upstream_code_reads_what_is_written(tmp_path):
    sample = SAMPLES["qmul"].sketches
    sketchkit.write(sample, tmp_path / "ShoeV2_Coordinate.pkl")
    data = (tmp_path / "ShoeV2_Coordinate.pkl").read_bytes()
    assert data[:2] == b"\x80\x03"
    drawings = pickle.loads(data)
    assert list(drawings) == sample.columns["key"].tolist()
    rows = drawings["/test/77_2"]
    assert rows.dtype == np.float64
    assert rows.tolist() == [[0, 255, 0], [128.5, 0, 0], [255, 255, 1], [0, 255, 0], [255, 255, 1]]


def test_the_finite_zoo_comes_back_less_its_empty_strokes(tmp_path):
    drawings = SketchSet.from_sketches(
        sketchkit.Sketch(sketch.points, sketch.offsets, key=f"/train/{index}_1")
        for index, sketch in enumerate(FINITE.values())
    )
    sketchkit.write(drawings, tmp_path / "zoo.pkl")
    found = sketchkit.read(tmp_path / "zoo.pkl")
    expected = drawings.keep_strokes(np.diff(drawings.stroke_offsets) > 0)
    np.testing.assert_array_equal(found.points, expected.points)
    np.testing.assert_array_equal(found.stroke_offsets, expected.stroke_offsets)
    np.testing.assert_array_equal(found.sketch_offsets, expected.sketch_offsets)


@pytest.mark.parametrize(
    ("keys", "words"),
    [([None, "b"], "key None, which is no text"), (["a", "a"], "sketch 1 has the key 'a', which is there twice")],
)
def test_keys_must_be_there_and_unique(tmp_path, keys, words):
    drawings = [sketchkit.Sketch.from_strokes([[(1, 2)]], key=key) for key in keys]
    with pytest.raises(DataError, match=words):
        sketchkit.write(drawings, tmp_path / "shoes.pkl")


def test_the_real_chairs(shared_data):
    chairs = sketchkit.read(shared_data / "chairv2" / "ChairV2_Coordinate")
    assert len(chairs) == 952
    assert set(chairs.columns["split"]) == {"train"}
    assert len(set(chairs.columns["photo"])) == 300
    strokes = np.diff(chairs.sketch_offsets)
    assert (strokes.min(), strokes.max()) == (1, 15)
    points = [len(chair.points) for chair in chairs]
    assert (min(points), max(points), np.median(points)) == (40, 519, 107)
    assert np.diff(chairs.stroke_offsets).min() == 2
    photos = {path.stem for path in (shared_data / "chairv2" / "photo").iterdir()}
    assert set(chairs.columns["photo"]) <= photos
    digest = hashlib.sha256("\n".join(sorted(chairs.columns["key"])).encode()).hexdigest()
    assert digest == "f8604c0a3156a6d605914bd1e5ceea20512c5d7f8c084b9e63bc246dc0461a49"


def test_the_real_chairs_survive_a_round_trip(shared_data, tmp_path):
    chairs = sketchkit.read(shared_data / "chairv2" / "ChairV2_Coordinate")
    sketchkit.write(chairs, tmp_path / "chairs.pkl")
    again = sketchkit.read(tmp_path / "chairs.pkl")
    assert again.points.tobytes() == chairs.points.tobytes()
    assert again.columns["key"].tolist() == chairs.columns["key"].tolist()
    np.testing.assert_array_equal(again.stroke_offsets, chairs.stroke_offsets)
