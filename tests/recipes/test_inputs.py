"""Frozen layers and the batches made of their outputs, against the whole network on the pictures themselves."""

import numpy as np
import pytest
import torch

from sketchkit.adapters import adapt
from sketchkit.errors import ParameterError
from sketchkit.rasterizing import rasterize
from sketchkit.recipes.datasets import load_pairs
from sketchkit.recipes.frozen import FrozenFront
from sketchkit.recipes.inputs import TrainingInputs, jittered
from sketchkit.recipes.photos import load_photos
from sketchkit.recipes.warping import PairedWarp, object_boxes


@pytest.fixture(scope="module")
def prepared(paired_folder, tmp_path_factory):
    torch.manual_seed(0)
    model = adapt("mobilenet_v2", canvases=(32, 64), photo_size=64)
    front = FrozenFront(model, 3)
    pairs = load_pairs("folder", paired_folder)
    inputs = TrainingInputs.compute(
        front,
        pairs,
        model.canvases,
        photo_size=64,
        variants=2,
        mirror=True,
        seed=5,
        cache=tmp_path_factory.mktemp("cache"),
        name="test",
    )
    return model, front, pairs, inputs


def test_front_and_rest_are_the_whole_network(prepared):
    """Every version: jittered or not, mirrored or not; float16 in the cache is the only difference."""
    model, front, pairs, inputs = prepared
    photos = load_photos(pairs.photo_paths, 64)
    with torch.no_grad():
        for mirrored in (False, True):
            expected = model.embed_photos(np.ascontiguousarray(photos[..., ::-1] if mirrored else photos))
            with front.removed():
                found = model.embed(torch.from_numpy(inputs.photos[mirrored].astype(np.float32)))
            torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
            for variant in (0, 1):
                for canvas in model.canvases:
                    ink = rasterize(jittered(pairs.sketches, variant, 5), canvas)
                    expected = model.embed_rasters(np.ascontiguousarray(ink[..., ::-1] if mirrored else ink))
                    kept = inputs.sketches[canvas.size][2 * mirrored + variant]
                    with front.removed():
                        found = model.embed(torch.from_numpy(kept.astype(np.float32)))
                    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_the_network_is_whole_again_afterwards(prepared):
    model, front, *_ = prepared
    before = len(model.backbone.network.features)
    with front.removed():
        assert len(model.backbone.network.features) == before - 3
    assert len(model.backbone.network.features) == before


def test_only_what_is_not_frozen_learns(prepared):
    model, *_ = prepared
    frozen = {name for name, parameter in model.backbone.named_parameters() if not parameter.requires_grad}
    assert frozen
    assert all(name.split("features.")[1].split(".")[0] in ("0", "1", "2") for name in frozen)


def test_batches_pair_each_sketch_with_its_photo(prepared):
    _, _, pairs, inputs = prepared
    batches = list(inputs.batches(0, batch_photos=5, sketches_per_photo=2, seed=0))
    assert [len(batch["photos"]) for batch in batches] == [4, 4, 4]
    assert len(batches) == inputs.steps_per_epoch(5)
    for batch in batches:
        owner, negative = batch["owner"], batch["negative"]
        assert (owner != negative).all()
        for row, photo in enumerate(batch["photos"]):
            (number, mirrored) = next(
                (number, version)
                for version, kept in enumerate(inputs.photos)
                for number in range(len(kept))
                if np.array_equal(kept[number], photo.numpy().astype(np.float16))
            )
            own = np.flatnonzero(pairs.photo_of_sketch == number)
            versions = [inputs.sketches[32][2 * mirrored + variant][own] for variant in (0, 1)]
            for sketch in batch["sketches"][32][owner == row]:
                assert any(
                    np.array_equal(sketch.numpy().astype(np.float16), each) for kept in versions for each in kept
                )


@pytest.mark.parametrize("batch_photos", range(2, 14))
def test_batches_are_of_like_sizes_and_none_has_a_single_photo(prepared, batch_photos):
    *_, inputs = prepared
    settings = {"batch_photos": batch_photos, "sketches_per_photo": 1, "seed": 0}
    sizes = [len(batch["photos"]) for batch in inputs.batches(0, **settings)]
    assert len(sizes) == inputs.steps_per_epoch(batch_photos)
    assert sum(sizes) == 12
    assert 2 <= min(sizes) <= max(sizes) <= min(sizes) + 1
    assert max(sizes) <= max(batch_photos, 3)  # of five photos in pairs, three come together


@pytest.mark.parametrize(("blocks", "words"), [(19, "have 19 entries"), (99, "have 19 entries")])
def test_something_must_be_left_to_train(blocks, words):
    with pytest.raises(ParameterError, match=words):
        FrozenFront(adapt("mobilenet_v2", canvases=(32,)), blocks)


def test_a_network_without_features_cannot_be_split():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    with pytest.raises(ParameterError, match="a Sequential named `features`"):
        FrozenFront(adapt(network, canvases=(32,)), 1)


def test_warped_versions_belong_to_photo_and_sketches_alike(prepared, tmp_path):
    """By hand: version 1 of both by the same warp, mirrored versions last; a batch never mixes versions."""
    model, front, pairs, _ = prepared
    inputs = TrainingInputs.compute(
        front,
        pairs,
        model.canvases,
        photo_size=64,
        variants=2,
        mirror=True,
        seed=5,
        cache=tmp_path,
        name="test",
        stretch=0.3,
        bend=0.1,
    )
    photos = load_photos(pairs.photo_paths, 64)
    warp = PairedWarp.draw(np.random.default_rng([5, 1, 6]), len(photos), stretch=0.3, bend=0.1)
    bent = warp.photos(photos, object_boxes(photos))
    drawn = warp.sketches(jittered(pairs.sketches, 1, 5), pairs.photo_of_sketch)
    ink = rasterize(drawn, model.canvases[1])
    assert len(inputs.photos) == 4
    for mirrored in (False, True):
        step = -1 if mirrored else 1
        expected = front(model.photo_inputs(np.ascontiguousarray(bent[..., ::step])))
        np.testing.assert_allclose(inputs.photos[2 * mirrored + 1], expected.numpy(), atol=2e-2)
        expected = front(model.raster_inputs(np.ascontiguousarray(ink[..., ::step])))
        np.testing.assert_allclose(inputs.sketches[64][2 * mirrored + 1], expected.numpy(), atol=2e-2)
    kept = {array[row].tobytes(): version for version, array in enumerate(inputs.photos) for row in range(12)}
    drawings = {array[row].tobytes(): version for version, array in enumerate(inputs.sketches[64]) for row in range(24)}
    seen = set()
    for batch in inputs.batches(0, batch_photos=6, sketches_per_photo=2, seed=0):
        versions = [kept[photo.numpy().astype(np.float16).tobytes()] for photo in batch["photos"].contiguous()]
        for owner, sketch in zip(batch["owner"], batch["sketches"][64].contiguous(), strict=True):
            assert drawings[sketch.numpy().astype(np.float16).tobytes()] == versions[owner]
        seen |= set(versions)
    assert seen == {0, 1, 2, 3}
