from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sketchkit import AdaptedModel, MissingDataError, ParameterError, adapt
from sketchkit.adapters.model_card import model_card, read_results

from models import pooled

ROWS = [
    {"model": "V1", "dataset": "ChairV2", "acc@1": 0.5, "params": 10},
    {"model": "V2 | small", "dataset": "ChairV2", "acc@1": 0.25, "flops": 5.0},
]


@pytest.fixture(scope="module")
def adapted() -> AdaptedModel:
    return adapt(pooled(), canvases=(32, (32, 64)), photo_size=32)


def metadata_of(card: str) -> dict[str, Any]:
    start, metadata, _ = card.split("---\n", 2)
    assert start == ""
    found: dict[str, Any] = yaml.safe_load(metadata)
    return found


def test_nothing_is_claimed_where_nothing_was_measured(adapted: AdaptedModel) -> None:
    card = model_card(adapted)
    assert set(metadata_of(card)) == {"library_name", "pipeline_tag", "tags"}
    assert "nothing is claimed" in card
    for size, flops in adapted.summary().flops.items():
        words = "32" if size == 32 else "32 x 64"
        assert f"| {words} | {flops / 1e9:.5f} |" in card
    assert "model=..." in card


def test_results_become_a_table_and_metadata(adapted: AdaptedModel) -> None:
    card = model_card(adapted, results=ROWS, license="mit", datasets=["ChairV2"])
    assert "| model | dataset | acc@1 | params | flops |" in card
    assert "| V2 \\| small | ChairV2 | 0.25 |  | 5 |" in card
    metadata = metadata_of(card)
    assert metadata["license"] == "mit"
    assert metadata["datasets"] == ["ChairV2"]
    assert metadata["metrics"] == ["acc@1", "flops"]
    (index,) = metadata["model-index"]
    assert [result["metrics"] for result in index["results"]] == [
        [{"type": "acc@1", "value": 0.5}],
        [{"type": "acc@1", "value": 0.25}, {"type": "flops", "value": 5.0}],
    ]


def test_rows_without_a_data_set_are_a_table_alone(adapted: AdaptedModel) -> None:
    card = model_card(adapted, results={"acc@1": 0.5})
    assert "model-index" not in metadata_of(card)
    assert "| 0.5 |" in card


def test_results_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"data": {"name": "emoji"}, "rows": [{"model": "V1", "acc@1": 0.5, "latency": {}}]}))
    assert read_results(path) == [{"dataset": "emoji", "model": "V1", "acc@1": 0.5}]
    path.write_text(json.dumps(ROWS))
    assert read_results(str(path)) == ROWS


@pytest.mark.parametrize("text", ["{", "3", "[3]", '"words"'])
def test_files_without_rows(text: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ParameterError, match="results"):
        read_results(tmp_path / "results.json")


def test_wrong_results_leave_no_half_folder(adapted: AdaptedModel, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="there are no results"):
        adapted.save_pretrained(tmp_path / "new", results=tmp_path / "none.json")
    assert not (tmp_path / "new").exists()


def test_a_card_of_ones_own_stays(adapted: AdaptedModel, tmp_path: Path) -> None:
    adapted.save_pretrained(tmp_path)
    adapted.save_pretrained(tmp_path, results=ROWS)
    assert "V2 \\| small" in (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").write_text("mine")
    adapted.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_the_hub_reads_it(adapted: AdaptedModel) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    card = hub.ModelCard(model_card(adapted, results=ROWS, license="mit"))
    assert card.data.library_name == "sketchkit"
    assert [result.metric_value for result in card.data.eval_results] == [0.5, 0.25, 5.0]


def test_notebooks_get_tables(adapted: AdaptedModel) -> None:
    summary = adapted.summary()._repr_html_()
    assert "AdaptedModel of Pooled" in summary
    assert summary.count("<tr>") == len(adapted.summary().lines())
    found = adapted.cost()
    assert "32 x 64" in found._repr_html_()
    assert found._repr_html_().count("<tr>") == 4
