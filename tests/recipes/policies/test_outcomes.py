from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError, MissingDataError
from sketchkit.recipes.policies.choices import over_seeds, photo_groups, stacked
from sketchkit.recipes.policies.outcomes import Outcomes

FIELDS = ("photo_of_sketch", "ranks", "nearest", "similarities", "triplet_losses", "flops", "embeddings")


def block(count):
    drawings = [Sketch.from_strokes([[(0, 0), (index + 1, 1)]]) for index in range(count)]
    keys = np.array([f"drawing {index}" for index in range(count)], dtype=object)
    return SketchSet.from_sketches(drawings).with_columns(key=keys)


@pytest.fixture
def searched():
    generator = torch.Generator().manual_seed(0)
    photos = normalize(torch.randn(12, 8, generator=generator), dim=1)
    owner = np.arange(20) % 12
    noise = {size: torch.randn(20, 8, generator=generator) * scale for size, scale in ((32, 0.5), (64, 0.2))}
    embeddings = {size: normalize(photos[owner] + each, dim=1) for size, each in noise.items()}
    outcomes = Outcomes.of(block(20), owner, embeddings, photos, [1e6, 4e6], fold=1, seed=2)
    return outcomes, embeddings, photos, owner


def test_a_search_is_what_sorting_gives(searched):
    outcomes, embeddings, photos, owner = searched
    for canvas, embedded in enumerate(embeddings.values()):
        for row in range(20):
            similar = [float(embedded[row].double() @ photo.double()) for photo in photos]
            order = sorted(range(12), key=lambda photo: -similar[photo])
            assert outcomes.nearest[row, canvas] == order[0]
            assert outcomes.ranks[row, canvas] == order.index(owner[row]) + 1
            assert outcomes.margins[row, canvas] == pytest.approx(similar[order[0]] - similar[order[1]], abs=1e-6)
            assert outcomes.right[row, canvas] == (order[0] == owner[row])
    assert outcomes.similarities.shape == (20, 2, 10)
    assert outcomes.search_flops == 2 * 12 * 8
    assert outcomes.flops.tolist() == [[1e6, 4e6]] * 20
    assert np.allclose(outcomes.embeddings[:, 1], embeddings[64], atol=1e-3)


def test_what_was_saved_is_read_among_other_drawings_in_another_order(searched, tmp_path):
    outcomes = searched[0]
    outcomes.save(tmp_path / "fold1.npz")
    more = block(30)[np.random.default_rng(0).permutation(30)]
    found = Outcomes.load(tmp_path / "fold1.npz", more)
    assert list(found.sketches.columns["key"]) == list(outcomes.sketches.columns["key"])
    assert np.array_equal(found.sketches.points, outcomes.sketches.points)
    for name in FIELDS:
        assert np.array_equal(getattr(found, name), getattr(outcomes, name))
        assert getattr(found, name).dtype == getattr(outcomes, name).dtype
    assert (found.canvases, found.fold, found.seed, found.search_flops) == ((32, 64), 1, 2, 192.0)
    replace(outcomes, embeddings=None).save(tmp_path / "fold1.npz")
    assert Outcomes.load(tmp_path / "fold1.npz", more).embeddings is None


def test_files_that_do_not_fit_are_refused(searched, tmp_path):
    path = tmp_path / "fold1.npz"
    with pytest.raises(MissingDataError, match="no such file"):
        Outcomes.load(path, block(20))
    searched[0].save(path)
    with pytest.raises(DataError, match=r"5 of its 20 drawings are not given, the first is 'drawing 15'"):
        Outcomes.load(path, block(15))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="not outcomes that can be read"):
        Outcomes.load(path, block(20))
    np.savez(path, keys=np.array(["a"]))
    with pytest.raises(DataError, match="not outcomes that can be read"):
        Outcomes.load(path, block(20))
    np.savez(path, keys=np.array([object()]), allow_pickle=True)
    with pytest.raises(DataError, match="not outcomes that can be read"):
        Outcomes.load(path, block(20))


def test_tables_that_do_not_fit_are_refused(made):
    outcomes = made()
    with pytest.raises(DataError, match=r"ranks must be \(180, 3\)"):
        replace(outcomes, ranks=outcomes.ranks[:, :2])
    with pytest.raises(DataError, match="give the cheapest first"):
        replace(outcomes, flops=outcomes.flops[:, ::-1])
    with pytest.raises(DataError, match="no column key"):
        replace(outcomes, sketches=SketchSet(outcomes.sketches.points, *offsets(outcomes.sketches)))


def offsets(sketches):
    return sketches.stroke_offsets, sketches.sketch_offsets


def test_seeds_are_averaged_and_folds_joined(made):
    parts = [made(fold=fold, seed=seed, photos=5) for fold in (0, 1) for seed in (0, 1, 2)]
    sketches, right = over_seeds(parts, lambda part: part.right)
    assert len(sketches) == len(right) == 30
    assert np.allclose(right[4], (parts[0].right[4] + parts[1].right[4] + parts[2].right[4]) / 3)
    assert np.allclose(right[15 + 4], (parts[3].right[4] + parts[4].right[4] + parts[5].right[4]) / 3)
    groups = photo_groups(parts)
    assert len(set(groups.tolist())) == 10
    assert groups[3] == groups[15 + 3] == groups[30 + 5] != groups[45 + 3]
    with pytest.raises(DataError, match="not the same sketches"):
        over_seeds([parts[0], replace(parts[1], sketches=parts[3].sketches)], lambda part: part.right)
    with pytest.raises(DataError, match="different canvases"):
        stacked([parts[0], replace(parts[1], canvases=(16, 32, 64))], lambda part: part.right)
