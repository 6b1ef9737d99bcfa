"""The benchmarks themselves: that they can be run, and what becomes of their page."""

import importlib
import sys

import pytest

from rooms import REPOSITORY

sys.path.append(str(REPOSITORY / "benchmarks"))
contest = importlib.import_module("contest")
run = importlib.import_module("run")


@pytest.mark.parametrize("name", run.SECTIONS)
def test_every_section_is_a_benchmark(name):
    assert callable(importlib.import_module(name).tables)


def test_a_page_is_not_written_from_too_few_rounds(monkeypatch):
    embedding = importlib.import_module("embedding")
    monkeypatch.setattr(embedding, "tables", lambda rounds: [contest.Table(f"best of {rounds}", ["a"], [])])
    assert "best of 7" in run.section("embedding", 1)
    assert "best of 15" in run.section("embedding", 15)


def test_one_thread_reads_what_all_cores_read(tmp_path):
    parsing = importlib.import_module("parsing_ndjson")
    path = tmp_path / "lines.ndjson"
    path.write_text('{"word":"roof","key_id":"1","drawing":[[[0,5,9],[9,0,9]]]}\n' * 50)
    one, all_cores = parsing._alone(path)(), parsing.ours(path)
    assert len(one) == len(all_cores) == 50
    assert one.points.tobytes() == all_cores.points.tobytes()


def test_contestants_take_turns_and_every_other_round_goes_backwards():
    order = []
    best = contest.contest({name: lambda name=name: order.append(name) for name in "abc"}, rounds=2)
    assert "".join(order) == "abc" + "abc" + "cba"
    assert all(0 <= timing.wall < 1 for timing in best.values())


def test_a_section_replaces_itself_and_leaves_the_others():
    page = run.with_section("", "simplifying", "## Simplifying\nbefore")
    page = run.with_section(page, "rasterizing", "## Rasterizing\nfirst")
    page = run.with_section(page, "simplifying", "## Simplifying\nnew")
    assert page.index("first") < page.index("new")
    assert "\nbefore\n" not in page
    assert page.count("<!-- simplifying -->") == 1


def test_a_table_is_markdown():
    table = contest.Table("Some", ["a", "b"], [["1", "2"]], "A note.")
    lines = ["### Some", "", "| a | b |", "| --- | --- |", "| 1 | 2 |", "", "A note."]
    assert contest.markdown(table).splitlines() == lines
