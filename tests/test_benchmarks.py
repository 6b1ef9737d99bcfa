"""The benchmarks themselves: that they can be run, and what becomes of their page."""

import importlib
import subprocess
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


@pytest.mark.parametrize(("status", "said"), [(1, "failed (status 1"), (-9, "killed by SIGKILL"), (-15, "by SIGTERM")])
def test_a_benchmark_that_ends_early_is_named_and_the_others_are_written(monkeypatch, tmp_path, capsys, status, said):
    def measured(command, **_):
        return subprocess.CompletedProcess(command, status if "embedding" in command else 0, "## Text\n")

    page = tmp_path / "page.md"
    page.write_text(run.with_section("", "embedding", "## Embedding\nbefore"))
    monkeypatch.setattr(run.subprocess, "run", measured)
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["run.py", "embedding", "costs", "--page", str(page)])
    with pytest.raises(SystemExit, match="not measured: embedding"):
        run.main()
    assert said in capsys.readouterr().out
    assert "\nbefore\n" in page.read_text()
    assert "<!-- costs -->\n## Text" in page.read_text()


def test_a_stopped_run_stops_its_benchmark(tmp_path):
    """The benchmark here is a process that stops the run, and would then sleep for a quarter of an hour."""
    script = (
        "import subprocess, sys\n"
        f"sys.path.insert(0, {str(REPOSITORY / 'benchmarks')!r})\n"
        "import run\n"
        "real = subprocess.run\n"
        "def sleeping(command, **options):\n"
        "    code = 'import os, signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(900)'\n"
        "    return real([sys.executable, '-c', code], **options)\n"
        "run.subprocess.run = sleeping\n"
        f"sys.argv = ['run.py', 'embedding', '--page', {str(tmp_path / 'page.md')!r}]\n"
        "run.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=250)
    assert done.returncode == 1
    assert "stopped by SIGTERM" in done.stderr
    assert not (tmp_path / "page.md").exists()


def test_networks_of_packages_that_are_not_installed_are_not_refused_but_asked_for(monkeypatch, tmp_path, capsys):
    networks = importlib.import_module("networks")
    cache = tmp_path / "networks.json"
    monkeypatch.setattr(networks, "find_spec", lambda package: None if package == "timm" else True)
    monkeypatch.setattr(sys, "argv", ["networks.py", "resnet18", "--cache", str(cache)])
    with pytest.raises(SystemExit):
        networks.main()
    assert "not installed: timm" in capsys.readouterr().err
    assert not cache.exists()


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


def test_a_long_contest_tells_its_rounds(monkeypatch, capsys):
    contest.contest({"a": lambda: None}, rounds=2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(contest, "SLOW", -1)
    contest.contest({"a": lambda: None}, rounds=2)
    assert "round 1 of 2" in capsys.readouterr().err


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
