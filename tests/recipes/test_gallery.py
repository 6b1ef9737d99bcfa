import numpy as np
import pytest
import torch

from sketchkit.errors import ParameterError
from sketchkit.recipes.gallery import Gallery


def test_search_equals_sorting_all_similarities():
    generator = torch.Generator().manual_seed(0)
    photos, queries = (torch.nn.functional.normalize(torch.randn(n, 8, generator=generator)) for n in (50, 6))
    hits = Gallery(photos, [f"p{index}" for index in range(50)]).search(queries, 10)
    similarity = (queries @ photos.T).numpy()
    order = np.argsort(-similarity, axis=1)[:, :10]
    assert hits.keys == [[f"p{index}" for index in row] for row in order]
    np.testing.assert_allclose(hits.similarity, np.take_along_axis(similarity, order, 1), rtol=1e-5)


def test_a_small_gallery_gives_what_it_has():
    hits = Gallery(torch.eye(2), ["a", "b"]).search(torch.eye(2)[1:], 10)
    assert hits.keys == [["b", "a"]]


def test_a_key_each():
    with pytest.raises(ParameterError, match="2 embeddings, but 1 keys"):
        Gallery(torch.eye(2), ["a"])
