import numpy as np
import pytest
import torch

from sketchkit import Sketch, SketchSet
from sketchkit.adapters import adapt, hub_discounts
from sketchkit.errors import DataError, ParameterError
from sketchkit.recipes.gallery import Gallery
from sketchkit.recipes.query_bank import QueryBank


def unit(rows, seed):
    drawn = torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=1)


@pytest.fixture
def bank():
    return QueryBank({32: unit(20, 0), 64: unit(20, 1)}, neighbors=3)


def test_of_a_network():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    adapted = adapt(network, canvases=(16, 32))
    drawings = SketchSet.from_sketches([Sketch.from_strokes([[(0, 0), (k, 9)], [(3, k), (9, 1)]]) for k in range(6)])
    found = QueryBank.of(adapted, drawings, adapted.canvases, neighbors=2, name="bank")
    assert found.neighbors == 2
    for canvas in adapted.canvases:
        with torch.no_grad():
            torch.testing.assert_close(
                found.drawings[canvas.size], adapted.embed_sketches(drawings, canvas=canvas), rtol=1e-5, atol=1e-6
            )
    none = QueryBank.of(adapted, drawings, adapted.canvases, neighbors=0, name="bank")
    assert {size: rows.shape for size, rows in none.drawings.items()} == {16: (0, 8), 32: (0, 8)}
    assert not any(rows.any() for rows in none.discounts(torch.eye(8)).values())


def test_discounts_are_of_each_canvas(bank):
    photos = unit(9, 2)
    found = bank.discounts(photos)
    assert list(found) == [32, 64]
    for size, rows in found.items():
        whole = hub_discounts(photos, bank.drawings[size], neighbors=3)
        torch.testing.assert_close(rows, whole - whole.mean())
        assert rows.mean().item() == pytest.approx(0, abs=1e-6)


def test_saved_and_read(bank, tmp_path):
    assert QueryBank.beside(tmp_path) is None
    (tmp_path / "model-0a1b.safetensors").write_bytes(b"weights")
    bank.save(tmp_path)
    read = QueryBank.beside(tmp_path)
    assert read.neighbors == 3
    assert list(read.drawings) == [32, 64]
    for size, rows in read.drawings.items():
        torch.testing.assert_close(rows, bank.drawings[size], rtol=1e-3, atol=1e-3)
    (tmp_path / "model-0a1b.safetensors").rename(tmp_path / "model-9f9f.safetensors")
    with pytest.raises(DataError, match="of another network than lies beside it"):
        QueryBank.beside(tmp_path)
    path = tmp_path / "query_bank.safetensors"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"query_bank\.safetensors: not a bank of drawings"):
        QueryBank.beside(tmp_path)


def test_the_gallery_takes_off_what_each_canvas_has(bank):
    photos, queries = unit(30, 3), unit(8, 4)
    keys = [f"p{index}" for index in range(30)]
    discounts = bank.discounts(photos)
    sizes = np.array([32, 64, 64, 32, 32, 64, 32, 64])
    hits = Gallery(photos, keys, discounts).search(queries, 5, canvases=sizes)
    similarity = (queries @ photos.T - torch.stack([discounts[size] for size in sizes.tolist()])).numpy()
    order = np.argsort(-similarity, axis=1)[:, :5]
    assert hits.keys == [[keys[index] for index in row] for row in order]
    np.testing.assert_allclose(hits.similarity, np.take_along_axis(similarity, order, 1), rtol=1e-4, atol=1e-6)


def test_without_drawings_nothing_is_kept(bank, tmp_path):
    bank.save(tmp_path)
    QueryBank({32: torch.empty(0, 16)}, neighbors=0).save(tmp_path)
    assert QueryBank.beside(tmp_path) is None


def test_what_is_not_finite_spoils_nothing_else(bank):
    photos = unit(12, 6)
    expected = bank.discounts(photos)[32]
    broken = QueryBank({32: torch.cat([bank.drawings[32], torch.full((1, 16), torch.nan)])}, neighbors=3)
    torch.testing.assert_close(broken.discounts(photos)[32], expected)
    photos[0] = torch.nan
    found = bank.discounts(photos)[32]
    assert found.isnan().tolist() == [True] + 11 * [False]
    nothing = QueryBank({32: torch.full((5, 16), torch.nan)}, neighbors=3)
    assert nothing.discounts(photos)[32].tolist() == 12 * [0]
    with pytest.raises(DataError, match="photo 0 is not finite"):
        Gallery(photos, list(map(str, range(12))))
    with pytest.raises(DataError, match="query 1 is not finite"):
        Gallery(photos[1:], list(map(str, range(11)))).search(photos[[1, 0]])


@pytest.mark.parametrize("canvases", [None, [32], [32, 48], [[32, 32], [64, 64]], [[32, 64], [32, 64]]])
def test_the_gallery_must_know_the_canvases(bank, canvases):
    bank = QueryBank(bank.drawings | {128: unit(20, 7)}, neighbors=3)
    gallery = Gallery(torch.eye(16), list(map(str, range(16))), bank.discounts(torch.eye(16)))
    with pytest.raises(ParameterError, match=r"one of \[32, 64, 128\]"):
        gallery.search(unit(2, 5), canvases=canvases)
