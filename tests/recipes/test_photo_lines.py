"""Photos beside their own edges, against galleries made by hand."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch.nn.functional import normalize

from sketchkit import trace_edges
from sketchkit.adapters import adapt, hub_discounts, info_nce
from sketchkit.errors import ParameterError
from sketchkit.rasterizing import rasterize
from sketchkit.recipes import drawn_inputs
from sketchkit.recipes.config import StudentConfig, TrainingConfig, load_config
from sketchkit.recipes.datasets import load_pairs
from sketchkit.recipes.drawn_inputs import DrawnInputs
from sketchkit.recipes.embedding import embed_photos
from sketchkit.recipes.gallery import Gallery
from sketchkit.recipes.objectives import Retrieval
from sketchkit.recipes.own_networks import settings_of
from sketchkit.recipes.photo_lines import embed_gallery, line_drawings, with_lines
from sketchkit.recipes.photos import load_photos
from sketchkit.recipes.policies.outcomes import Outcomes
from sketchkit.recipes.query_bank import QueryBank

SETTINGS = {"batch_photos": 5, "sketches_per_photo": 2, "seed": 3}


@pytest.fixture(scope="module")
def prepared(paired_folder):
    torch.manual_seed(0)
    model = adapt("mobilenet_v2", canvases=(32, 64), photo_size=64).eval()
    return model, load_pairs("folder", paired_folder)


def unit(rows, seed):
    return normalize(torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_the_edges_are_those_of_the_photo_at_256_px(tmp_path):
    path = tmp_path / "wide.png"
    picture = Image.new("RGB", (100, 50), "white")
    ImageDraw.Draw(picture).rectangle([10, 10, 89, 39], fill="navy")
    picture.save(path)
    (drawing,) = line_drawings([path])
    (stroke,) = drawing.strokes
    found = [*stroke.min(axis=0), *stroke.max(axis=0)]
    assert found == pytest.approx([25.6, 89.6, 230.4, 166.4], abs=2), "on the square that the photo is centered on"


def test_a_gallery_is_made_canvas_by_canvas(prepared):
    model, pairs = prepared
    photos = embed_photos(model, pairs.photo_paths, name="photos")
    plain = embed_gallery(model, pairs.photo_paths, model.canvases, weight=0, name="photos")
    assert list(plain) == [32, 64]
    assert all(torch.equal(each, photos) for each in plain.values())
    found = embed_gallery(model, pairs.photo_paths, model.canvases, weight=0.5, name="photos")
    pixels = load_photos(pairs.photo_paths, 256)
    for canvas in model.canvases:
        drawn = [rasterize(trace_edges(np.ascontiguousarray(each.transpose(1, 2, 0))), canvas)[0] for each in pixels]
        with torch.no_grad():
            lines = model.embed(model.raster_inputs(np.stack(drawn)))
        expected = photos + 0.5 * lines
        torch.testing.assert_close(
            found[canvas.size], expected / expected.norm(dim=1, keepdim=True), rtol=1e-4, atol=1e-5
        )


def test_lines_go_with_their_photos_and_change_nothing_else(prepared, monkeypatch):
    model, pairs = prepared
    monkeypatch.setattr(drawn_inputs, "JITTER", {"rotation": 0.0, "scale": 0.0, "shift": 0.0})
    alone, beside = (
        DrawnInputs.load(model, pairs, model.canvases, photo_size=256, mirror=True, stretch=0.5, lines=lines)
        for lines in (False, True)
    )
    for one, other in zip(alone.batches(0, **SETTINGS), beside.batches(0, **SETTINGS), strict=True):
        assert "lines" not in one
        for name in ("photos", "owner", "negative"):
            assert torch.equal(one[name], other[name])
        assert all(torch.equal(one["sketches"][size], other["sketches"][size]) for size in (32, 64))
        # The edges of the very photo that is shown, bent and mirrored as it is, are the lines beside it.
        mean, std = (torch.as_tensor(each).reshape(3, 1, 1) for each in (model.inputs.mean, model.inputs.std))
        pixels = ((other["photos"] * std + mean) * 255).round().clamp(0, 255).byte()
        shown = [trace_edges(np.ascontiguousarray(each.permute(1, 2, 0).numpy())) for each in pixels]
        expected = model.raster_inputs(np.stack([rasterize(each, model.canvases[1])[0] for each in shown]))
        away = (other["lines"][64] - expected).abs().mean(dim=(1, 2, 3))
        mirrored = (other["lines"][64].flip(-1) - expected).abs().mean(dim=(1, 2, 3))
        assert (away < mirrored).all()


def test_the_loss_is_that_of_the_gallery(prepared):
    model, pairs = prepared
    inputs = DrawnInputs.load(model, pairs, model.canvases[:1], photo_size=64, mirror=True, lines=True)
    batch = next(iter(inputs.batches(0, **SETTINGS)))
    training = TrainingConfig(temperature=0.1, variants=0)
    with torch.no_grad():
        found = Retrieval(model, StudentConfig(photo_lines=0.7, training=training), training)(batch)["loss"]
        photos, sketches, lines = (
            model.embed(images) for images in (batch["photos"], batch["sketches"][32], batch["lines"][32])
        )
        gallery = normalize(photos + 0.7 * lines, dim=1)
        expected = info_nce(sketches, gallery, temperature=0.1, owner=batch["owner"])
    torch.testing.assert_close(found, expected)


def test_each_canvas_searches_its_own_gallery():
    photos = {32: unit(30, 0), 64: unit(30, 1)}
    bank = QueryBank({32: unit(9, 2), 64: unit(9, 3)}, neighbors=4)
    discounts = bank.discounts(photos)
    for size, each in photos.items():
        whole = hub_discounts(each, bank.drawings[size], neighbors=4)
        torch.testing.assert_close(discounts[size], whole - whole.mean())
    queries, sizes = unit(8, 4), [64, 32, 32, 64, 32, 64, 64, 32]
    hits = Gallery(photos, list(map(str, range(30))), discounts).search(queries, 5, canvases=sizes)
    for row, size in enumerate(sizes):
        similarity = queries[row] @ photos[size].T - discounts[size]
        order = similarity.argsort(descending=True)[:5].tolist()
        assert hits.keys[row] == list(map(str, order))
        assert hits.similarity[row] == pytest.approx(similarity[order].numpy(), abs=1e-5)
    with pytest.raises(ParameterError, match=r"embeddings at \[32, 64\] px, but discounts at \[32\] px"):
        Gallery(photos, list(map(str, range(30))), {32: discounts[32]})
    with pytest.raises(ParameterError, match="photos differ by canvas"):
        Gallery(photos, list(map(str, range(30)))).search(queries)


def test_outcomes_of_galleries_that_differ_are_those_of_each(prepared):
    _, pairs = prepared
    owner = pairs.photo_of_sketch
    photos = {32: unit(12, 5), 64: unit(12, 6)}
    seen = {size: normalize(photos[size][owner] + 0.4 * unit(24, size), dim=1) for size in photos}
    both = Outcomes.of(pairs.sketches, owner, seen, photos, [1e6, 4e6], fold=0, seed=0)
    for column, size in enumerate(photos):
        one = Outcomes.of(pairs.sketches, owner, {size: seen[size]}, photos[size], [1e6], fold=0, seed=0)
        for name in ("ranks", "nearest", "triplet_losses"):
            assert np.array_equal(getattr(both, name)[:, column], getattr(one, name)[:, 0])
    assert both.search_flops == 2 * 12 * 16


def test_frozen_blocks_that_are_kept_have_no_lines():
    with pytest.raises(ParameterError, match=r"set student\.training\.variants=0"):
        load_config("demo", ["student.photo_lines=1"])
    with pytest.raises(ParameterError, match=r"photo_lines must be at least 0"):
        load_config("chairv2", ["student.photo_lines=-1"])


def test_length_one_and_nothing_without_a_weight():
    photos, drawn = unit(5, 7), unit(5, 8)
    assert with_lines(photos, drawn, 0.0) is photos
    assert with_lines(photos, drawn, 2.0).norm(dim=1).numpy() == pytest.approx(np.ones(5))


def test_trainings_of_before_there_were_lines_are_taken_up():
    """Their settings had no such entry, so one of 0 is none, also in the fingerprints of stages and cells."""
    assert "photo_lines" not in settings_of(StudentConfig())
    assert settings_of(load_config("chairv2", ["student.photo_lines=0.5"]).student)["photo_lines"] == 0.5
