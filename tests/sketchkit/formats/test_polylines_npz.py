"""Single drawings as arrays of strokes; the independent reader is numpy's own."""

import numpy as np
import pytest

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError
from sketchkit.reading import SketchkitWarning

STROKES = [np.array([[number, 0.5], [number + 0.25, -1]]) for number in range(12)]


def saved(tmp_path, *strokes, **named):
    np.savez(tmp_path / "1.npz", *strokes, **named)
    return tmp_path / "1.npz"


def test_strokes_are_in_the_order_of_their_numbers(tmp_path):
    names = {f"arr_{number}": STROKES[number] for number in sorted(range(12), key=str)}
    for path in (saved(tmp_path, *STROKES), saved(tmp_path, **names)):
        assert [stroke.tolist() for stroke in sketchkit.read(path)[0].strokes] == [each.tolist() for each in STROKES]


def test_what_is_written_is_what_numpy_reads(tmp_path):
    drawing = Sketch.from_strokes([*STROKES, []], label="octopus")
    with pytest.warns(SketchkitWarning, match="no place for label"):
        sketchkit.write(drawing, tmp_path / "2.npz", format="polylines-npz")
    with np.load(tmp_path / "2.npz") as arrays:
        assert [arrays[name].tolist() for name in arrays] == [*(each.tolist() for each in STROKES), []]
        assert arrays["arr_12"].shape == (0, 2)
    assert len(sketchkit.read(tmp_path / "2.npz").stroke_offsets) == 14


@pytest.mark.parametrize("count", [0, 2])
def test_a_file_holds_one_drawing(tmp_path, count):
    drawings = SketchSet.from_sketches([Sketch.from_strokes(STROKES)] * count)
    with pytest.raises(DataError, match=f"there are {count} drawings; a file of this format holds one"):
        sketchkit.write(drawings, tmp_path / "2.npz", format="polylines-npz")
    with pytest.raises(DataError, match="the drawing has no stroke"):
        sketchkit.write(Sketch.from_strokes([]), tmp_path / "2.npz", format="polylines-npz")


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"arr_0": np.zeros((3, 3))}, r"arr_0 has the shape \(3, 3\); it must be \(points, 2\)"),
        ({"arr_0": np.array(["a"])}, "arr_0.npy holds '<U1', not plain numbers"),
        ({"arr_0": np.array([{}])}, r"arr_0.npy holds '\|O', not plain numbers"),
        ({"arr_0": np.full((1, 2), 1e300)}, "arr_0 has a coordinate beyond what float32 holds"),
        ({"arr_0": STROKES[0], "arr_2": STROKES[0]}, "arr_1 is missing"),
        ({"arr_0": STROKES[0], "key": STROKES[0]}, "holds 'key'; strokes are named arr_0, arr_1, and so on"),
    ],
)
def test_other_arrays_are_refused(tmp_path, named, words):
    with pytest.raises(DataError, match=rf"1\.npz: record 0: .*{words}"):
        sketchkit.read(saved(tmp_path, **named))


def test_the_real_octopuses(shared_data):
    files = sorted((shared_data / "tuberlin" / "octopus_npz").glob("*.npz"))
    assert len(files) == 68
    for path in files:
        drawing = sketchkit.read(path).validate()
        with np.load(path) as arrays:
            expected = [arrays[f"arr_{number}"] for number in range(len(arrays.files))]
        assert [len(stroke) for stroke in expected] == np.diff(drawing.stroke_offsets).tolist()
        np.testing.assert_array_equal(drawing.points, np.concatenate(expected).astype(np.float32))
