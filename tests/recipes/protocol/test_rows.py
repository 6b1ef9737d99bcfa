import re
import sys
from dataclasses import fields

import numpy as np
import pytest

from sketchkit.errors import MissingDataError, ParameterError
from sketchkit.recipes.datasets import load_pairs
from sketchkit.recipes.pairs import PairedSet
from sketchkit.recipes.protocol.cells import cells_of, has_test_split, places_of
from sketchkit.recipes.protocol.rows import KINDS, RowConfig, TableConfig, load_table, shipped_tables

from rooms import REPOSITORY

ROWS = """
base: tiny.yaml
settings: [data.folds=2]
rows:
  best: {teachers: [teacher, direct]}
  teacher: {kind: teacher}
  plain: {settings: [student.distillation=none, student.self_distillation=1]}
  direct: {kind: direct}
  picked: {kind: v2, student: best}
"""


@pytest.mark.parametrize("name", sorted(shipped_tables()))
def test_every_shipped_table_parses_with_the_settings_of_all_its_rows(name):
    table = load_table(name)
    assert all(table.config(row).student.canvases for row in table.rows)
    assert all(row.says for row in table.rows.values())


def test_the_table_of_the_docs_is_read_and_its_keys_are_explained(tmp_path):
    page = (REPOSITORY / "docs" / "table.md").read_text()
    path = tmp_path / "docs.yaml"
    path.write_text(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    table = load_table(str(path))
    assert {row.kind for row in table.rows.values()} == set(KINDS)
    for item in [*fields(RowConfig), *(field for field in fields(TableConfig) if field.name != "folder")]:
        assert re.search(rf"`{item.name}`|^{item.name}:", page, re.MULTILINE), item.name


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("rowz: {}", "did you mean rows"),
        ("rows: {v1: {teecher: [x]}}", "unknown setting rows.v1.teecher; did you mean rows.v1.teachers"),
        ("rows: {v1: {kind: v3}}", "kind must be one of teacher, direct, v1, v2, not 'v3'"),
        ("rows: {v1: {teachers: [nobody]}}", "no row 'nobody'"),
        ("rows: {V1: {}}", "a row's name has small letters"),
        ("rows: {v1: {teachers: [v1]}}", "row v1 cannot be taught by v1"),
        ("rows: {a: {teachers: [b]}, b: {teachers: [a]}}", "row a cannot be taught by b"),
        ("rows: {t: {kind: teacher}, v2: {kind: v2, student: t}}", "picks canvases of t, which has only one"),
        ("rows: {t: {kind: teacher}}\ndifferences: [[t]]", "a difference is of two rows"),
        ("rows: {t: {kind: teacher, settings: [student.fi=tight]}}", "did you mean student.fit"),
        ("rows: {}", "the table has no rows"),
        ("rows: [unclosed", "wrong.yaml"),
    ],
)
def test_a_wrong_table_is_refused_with_a_sentence(tmp_path, line, says):
    path = tmp_path / "wrong.yaml"
    path.write_text(line)
    with pytest.raises(ParameterError, match=re.escape(says)):
        load_table(str(path))


def test_an_unknown_table_names_the_shipped_ones():
    with pytest.raises(MissingDataError, match=r"nowhere: no such file.*chairv2"):
        load_table("nowhere")


@pytest.fixture
def table(write_table, tmp_path):
    return load_table(str(write_table(tmp_path, ROWS)))


def test_later_words_win(table):
    assert table.config("plain").data.folds == 2
    assert table.config("plain", ["student.distillation=batch"]).student.distillation == "batch"
    assert table.config("plain").teacher.training.frozen_blocks == 24, "of the base, which lies beside the table"


def test_rows_of_a_place_stand_together_teachers_first(table, paired_folder):
    pairs = load_pairs("folder", paired_folder)
    cells = cells_of(table, pairs, places_of(["fold"], 2, [0, 5]))
    assert [cell.place.name for cell in cells[::4]] == ["fold0-seed0", "fold1-seed0", "fold0-seed5", "fold1-seed5"]
    assert [cell.row for cell in cells[:4]] == ["teacher", "direct", "best", "plain"]
    assert [teacher.row for teacher in cells[2].teachers] == ["teacher", "direct"]
    assert all(cell.config.seed == cell.place.seed and cell.config.data.fold == cell.place.fold for cell in cells)
    alone = cells_of(table, pairs, places_of(["fold"], 2, [0]), rows=["picked"])
    assert [cell.row for cell in alone[:3]] == ["teacher", "direct", "best"], (
        "whose canvases are picked, and its teachers"
    )
    assert len(alone) == 6


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (["teacher.training.epochs=9"], {"teacher", "best"}),
        (["student.distillation_weight=3"], {"best"}),
        (["student.training.epochs=9"], {"direct", "best", "plain"}),
        (["student.beta=0.1", "selector.epochs=7", "out=elsewhere", "devices=2"], {"best"}),
        (["student.fit=keep"], {"teacher", "direct", "best", "plain"}),
        (["data.max_sketches_per_photo=1"], {"teacher", "direct", "best", "plain"}),
        (["accelerator=gpu", "evaluation.examples=1"], set()),
    ],
)
def test_a_cell_depends_on_what_changes_its_results(table, paired_folder, words, changed):
    pairs = load_pairs("folder", paired_folder)
    places = places_of(["fold"], 2, [0])[:1]
    plain, other = (cells_of(table, pairs, places, words=more) for more in ([], words))
    assert {a.row for a, b in zip(plain, other, strict=True) if a.fingerprint != b.fingerprint} == changed


def test_folds_are_the_same_whether_or_not_the_test_split_is_there(table, paired_folder):
    """Somebody who has the whole set goes on from the results of somebody who has its training part."""
    known = load_pairs("folder", paired_folder)
    official = np.array(["train"] * 8 + ["test"] * 4)
    whole = PairedSet("whole", known.sketches, known.photo_of_sketch, known.photo_paths, official)
    part = whole.take_photos(np.arange(8))
    assert (has_test_split(whole), has_test_split(part), has_test_split(known)) == (True, False, False)
    places = places_of(["fold"], 2, [0])
    found = [[cell.fingerprint for cell in cells_of(table, pairs, places)] for pairs in (whole, part)]
    assert found[0] == found[1]
    tests = cells_of(table, whole, places_of(["test"], 2, [0]))
    assert [cell.place.name for cell in tests] == ["test-seed0"] * 4
    assert not {cell.fingerprint for cell in tests} & set(found[0])


def test_a_row_of_the_users_own_network_depends_on_its_source(paired_folder, write_table, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    made = "import torch\n\n\ndef small():\n    return torch.nn.Conv2d(3, 4, 3)\n"
    rows = ROWS.replace("direct: {kind: direct}", "direct: {kind: direct, settings: [student.network=ownrow:small]}")
    table = load_table(str(write_table(tmp_path, rows)))
    pairs = load_pairs("folder", paired_folder)
    found = []
    for text in (made, made.replace("4, 3", "5, 33")):
        (tmp_path / "ownrow.py").write_text(text)
        cells = {cell.row: cell.fingerprint for cell in cells_of(table, pairs, places_of(["fold"], 2, [0]))}
        found.append(cells)
        monkeypatch.delitem(sys.modules, "ownrow")
    assert {row for row in found[0] if found[0][row] != found[1][row]} == {"direct", "best"}, "and whom it teaches"
