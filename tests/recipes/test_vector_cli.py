"""The verbs for drawings, as a user types them."""

import io
import json

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from PIL import Image
from typer.testing import CliRunner

import sketchkit
from sketchkit import Sketch, SketchkitError, SketchSet
from sketchkit.recipes.cli import app

from format_samples import assert_same

runner = CliRunner()


def call(*words, stdin=None):
    result = runner.invoke(app, list(map(str, words)), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def drawings():
    generator = np.random.default_rng(7)
    made = [
        Sketch.from_strokes(np.round(generator.uniform(0, 255, (3, 12, 2))), label=f"class {index % 4}", key=str(index))
        for index in range(25)
    ]
    return SketchSet.from_sketches(made)


@pytest.fixture
def source(drawings, tmp_path):
    path = tmp_path / "made.ndjson"
    sketchkit.write(drawings, path)
    return path


@pytest.fixture
def broken(source):
    lines = source.read_bytes().splitlines(keepends=True)
    lines[3] = b'{"word":"no","drawing":[[[1,2],[3]]]}\n'
    lines[9] = b"{\n"
    source.write_bytes(b"".join(lines))
    return source


# ---- convert


@pytest.mark.parametrize("target", ["out.ndjson", "out.ndjson.gz", "out.parquet", "out.arrow"])
def test_convert_keeps_everything(source, drawings, tmp_path, target):
    said = call("convert", source, tmp_path / target).stdout
    assert said == f"25 drawings -> {tmp_path / target}\n"
    assert_same(sketchkit.read(tmp_path / target), drawings)


def test_convert_many_files_and_globs(source, drawings, tmp_path):
    source.with_name("more.ndjson").write_bytes(source.read_bytes())
    for number, sources in enumerate(([tmp_path / "m*.ndjson"], [source, source.with_name("more.ndjson")])):
        target = tmp_path / f"out{number}.parquet"
        call("convert", *sources, target)
        assert len(sketchkit.read(target)) == 50


def test_convert_from_standard_input(source, drawings, tmp_path):
    call("convert", "-", tmp_path / "out.arrow", stdin=source.read_bytes())
    assert_same(sketchkit.read(tmp_path / "out.arrow"), drawings)


def test_convert_transforms_in_the_stated_order(source, drawings, tmp_path):
    call("convert", source, tmp_path / "out.arrow", "--fit", 100, "--resample", 2, "--simplify", 1.5)
    expected = sketchkit.simplify(sketchkit.resample(sketchkit.fit(drawings, 100, align="corner"), 2), 1.5)
    assert_same(sketchkit.read(tmp_path / "out.arrow"), expected)
    call("convert", source, tmp_path / "few.arrow", "--max-points", 9, "--first", 5)
    assert_same(sketchkit.read(tmp_path / "few.arrow"), sketchkit.simplify(drawings[:5], max_points=9))


def test_skipped_records_are_counted_and_written_down(broken, tmp_path):
    with pytest.raises(SketchkitError, match="record 3"):
        call("convert", broken, tmp_path / "out.arrow")
    assert not (tmp_path / "out.arrow").exists()
    with pytest.warns(UserWarning, match="skipped 2 bad records"):
        said = call(
            "convert", broken, tmp_path / "out.arrow", "--on-error", "skip", "--skipped", tmp_path / "bad.ndjson"
        ).stdout
    assert f"23 drawings -> {tmp_path / 'out.arrow'}; skipped 2 bad records ({tmp_path / 'bad.ndjson'})" in said
    rows = [json.loads(line) for line in (tmp_path / "bad.ndjson").read_text().splitlines()]
    assert [row["file"] for row in rows] == [str(broken)] * 2
    assert rows[0]["record"].startswith("record 3 (line 4, byte ")
    assert "2 x but 1 y" in rows[0]["error"]
    assert rows[1]["record"].startswith("record 9 (line 10, byte ")


def test_skipped_needs_skip(source, tmp_path):
    with pytest.raises(SketchkitError, match="add --on-error skip"):
        call("convert", source, tmp_path / "out.arrow", "--skipped", tmp_path / "bad.ndjson")


# ---- info


def test_info(source, drawings):
    said = call("info", source).stdout
    assert f"{source}: 25 sketches, 75 strokes, 900 points" in said
    assert "column label (str): 4 distinct, such as class 0, class 1, class 2" in said
    found = json.loads(call("info", source, "--json").stdout)
    assert found["extent"]["x"] == [float(drawings.points[:, 0].min()), float(drawings.points[:, 0].max())]
    assert found["measures"]["strokes"] == 3
    assert found["columns"]["key"]["distinct"] == 25


# ---- render


def test_render_a_sheet(source, drawings, tmp_path):
    call("render", source, tmp_path / "sheet.png", "--size", 40, "--columns", 5)
    sheet = np.asarray(Image.open(io.BytesIO((tmp_path / "sheet.png").read_bytes())))
    np.testing.assert_array_equal(sheet[8:48, 8:48], 255 - sketchkit.rasterize(drawings[0], 40)[0])
    for name in ("sheet.svg", "sheet.html"):
        call("render", source, tmp_path / name, "--first", 6)
        assert (tmp_path / name).read_text().count("<path") == 6 * 3


def test_render_a_seeded_choice(source, tmp_path):
    pages = []
    for seed in (1, 1, 2):
        call("render", source, tmp_path / "sheet.svg", "--first", 8, "--shuffle", seed)
        pages.append((tmp_path / "sheet.svg").read_text())
    assert pages[0] == pages[1] != pages[2]


def test_render_images(source, drawings, tmp_path):
    expected = sketchkit.rasterize_pyramid(drawings, (32, 64))
    call("render", source, tmp_path / "images", "--size", 32, "--size", 64)
    call("render", source, tmp_path / "images.parquet", "--size", 32, "--size", 64)
    table = pyarrow.parquet.read_table(tmp_path / "images.parquet")
    assert table["label"].to_pylist() == drawings.columns["label"].tolist()
    for size, images in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / "images" / f"{size}.npy", mmap_mode="r"), images)
        packed = b"".join(table[f"image_{size}"].to_pylist())
        np.testing.assert_array_equal(np.frombuffer(packed, np.uint8).reshape(images.shape), images)


@pytest.mark.parametrize(
    ("words", "says"),
    [(["sheet.gif"], "a sheet is .png, .svg, .html"), (["sheet.png", "--size", 9, "--size", 10], "cells of one size")],
)
def test_render_refuses(source, tmp_path, words, says):
    with pytest.raises(SketchkitError, match=says):
        call("render", source, tmp_path / words[0], *words[1:])


# ---- measure


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".ndjson"])
def test_measure_writes_every_value(source, drawings, tmp_path, suffix):
    out = tmp_path / f"measures{suffix}"
    said = call("measure", source, "--out", out).stdout
    assert "undefined" in said
    if suffix == ".ndjson":
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    else:
        reader = pyarrow.csv.read_csv if suffix == ".csv" else pyarrow.parquet.read_table
        rows = reader(out).to_pylist()
    assert [str(row["key"]) for row in rows] == drawings.columns["key"].tolist()
    for name, values in sketchkit.measure(drawings).items():
        found = [np.nan if row[name] is None else row[name] for row in rows]
        np.testing.assert_allclose(np.array(found, float), values, rtol=1e-12)


def test_measure_some(source):
    lines = call("measure", source, "--name", "strokes").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["strokes"]
    with pytest.raises(SketchkitError, match="no measure is called 'inkk'"):
        call("measure", source, "--name", "inkk")


def test_measures_of_files_that_carry_different_columns(source, tmp_path):
    bare = tmp_path / "bare.ndjson"
    bare.write_text('{"drawing":[[[0,1,5],[0,1,9]]]}\n')
    for suffix in (".csv", ".parquet", ".ndjson"):
        call("measure", source, bare, "--out", tmp_path / f"m{suffix}")
    rows = pyarrow.parquet.read_table(tmp_path / "m.parquet").to_pylist()
    assert [row["label"] for row in rows[-2:]] == ["class 0", None]
    assert pyarrow.csv.read_csv(tmp_path / "m.csv").num_rows == 26


def test_a_sheet_of_drawings_with_and_without_times(source, tmp_path):
    timed = tmp_path / "timed.ndjson"
    timed.write_text('{"word":"t","drawing":[[[0,1,5],[0,1,9],[0,10,20]]]}\n')
    call("render", source, timed, tmp_path / "sheet.svg")
    assert (tmp_path / "sheet.svg").read_text().count("<path") == 25 * 3 + 1


def test_the_summary_does_not_stand_among_drawings(source, drawings, tmp_path):
    result = call("convert", source, "-", "--to", "quickdraw")
    (tmp_path / "out.ndjson").write_text(result.stdout)
    assert_same(sketchkit.read(tmp_path / "out.ndjson"), drawings)
    assert result.stderr == "25 drawings -> -\n"


def test_nothing_left_is_a_table_of_no_rows(tmp_path):
    (tmp_path / "bad.ndjson").write_text("{\n")
    with pytest.warns(UserWarning, match="skipped 1 bad records"):
        call("measure", tmp_path / "bad.ndjson", "--on-error", "skip", "--out", tmp_path / "m.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "m.parquet").num_rows == 0


def test_one_file_cannot_be_both_results(source, tmp_path):
    out = tmp_path / "o.arrow"
    with pytest.raises(SketchkitError, match="name another file for what is skipped"):
        call("convert", source, out, "--on-error", "skip", "--skipped", out)


def test_quickdraws_own_steps(tmp_path):
    raw = tmp_path / "raw.ndjson"
    raw.write_text('{"word":"t","drawing":[[[10.5,20.25,500],[30,31,90],[0,10,20]]]}\n')
    call("convert", raw, tmp_path / "o.ndjson", "--quickdraw")
    expected = sketchkit.quickdraw_simplify(sketchkit.read(raw))
    assert_same(sketchkit.read(tmp_path / "o.ndjson"), expected)
    assert expected.points.max() == 255
