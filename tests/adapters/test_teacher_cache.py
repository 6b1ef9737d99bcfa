from __future__ import annotations

import copy
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from sketchkit import MissingDataError, ParameterError, WeightsError, adapt
from sketchkit.adapters import AdaptedModel, KDHead, TeacherCache, content_keys, teacher_fingerprint
from sketchkit.errors import DataError

from models import pooled

PHOTOS = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
RASTERS = (255 * torch.rand(6, 32, 32, generator=torch.Generator().manual_seed(1))).to(torch.uint8)
KEYS = list("abcdef")


@pytest.fixture
def teacher() -> AdaptedModel:
    return adapt(pooled(), canvases=(32,), photo_size=32)


def test_what_is_kept_is_exact_and_found_without_the_teacher(tmp_path: Path, teacher: AdaptedModel) -> None:
    cache = TeacherCache(tmp_path, teacher, preprocessing="none")
    rows = dict(zip(KEYS, PHOTOS, strict=True))
    embed = lambda keys: teacher.embed_photos(torch.stack([rows[key] for key in keys]))  # noqa: E731 -- short
    assert cache.fill("photos", KEYS, embed, batch=4) == 6
    assert cache.fill("photos", KEYS, embed) == 0
    opened = TeacherCache(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(opened.get("photos", KEYS[::-1]), teacher.embed_photos(PHOTOS).flip(0))
    assert len(opened) == 6
    with pytest.raises(MissingDataError, match="lacks 1 of 1 sketches, such as 'a'"):
        opened.get("sketches", ["a"])


def test_a_killed_fill_goes_on(tmp_path: Path, teacher: AdaptedModel) -> None:
    asked: list[str] = []

    def embed(keys: list[str]) -> torch.Tensor:
        if len(asked) >= 4:
            raise KeyboardInterrupt
        asked.extend(keys)
        return torch.ones(len(keys), 8)

    with pytest.raises(KeyboardInterrupt):
        TeacherCache(tmp_path, teacher).fill("photos", KEYS, embed, batch=2)
    (tmp_path / ".photos-half.safetensors").write_bytes(b"half")
    later: list[str] = []

    def rest(keys: list[str]) -> torch.Tensor:
        later.extend(keys)
        return torch.ones(len(keys), 8)

    assert TeacherCache(tmp_path, teacher).fill("photos", KEYS, rest, batch=2) == 2
    assert (asked, later) == (KEYS[:4], KEYS[4:])


def test_another_teacher_is_refused(tmp_path: Path, teacher: AdaptedModel) -> None:
    TeacherCache(tmp_path, teacher, preprocessing="crop 1")
    other = copy.deepcopy(teacher)
    with torch.no_grad():
        next(other.backbone.parameters()).add_(1e-3)
    with pytest.raises(WeightsError, match=r"another teacher .*name another folder"):
        TeacherCache(tmp_path, other)
    with pytest.raises(WeightsError, match="another teacher"):
        KDHead(other, cache=TeacherCache(tmp_path))
    with pytest.raises(WeightsError, match="preprocessing 'crop 1', not 'crop 2'"):
        TeacherCache(tmp_path, teacher, preprocessing="crop 2")
    # Another mean is another embedding of the same photo; another selector is not.
    shifted = adapt(pooled(), canvases=(32,), photo_size=32, mean=(0.5, 0.5, 0.5))
    shifted.load_state_dict(teacher.state_dict())
    assert teacher_fingerprint(shifted) != teacher_fingerprint(teacher)
    same = copy.deepcopy(teacher)
    torch.nn.init.ones_(same.canvas_selector.to_logits.weight)
    assert teacher_fingerprint(same) == teacher_fingerprint(teacher)


def test_what_is_not_there(tmp_path: Path, teacher: AdaptedModel) -> None:
    with pytest.raises(MissingDataError, match="give teacher= to begin"):
        TeacherCache(tmp_path / "new")
    cache = TeacherCache(tmp_path, teacher)
    cache.add("photos", ["a"], torch.ones(1, 8))
    with pytest.raises(ParameterError, match="width 8, not 9"):
        cache.add("photos", ["b"], torch.ones(1, 9))
    with pytest.raises(ParameterError, match="2 keys need embeddings"):
        cache.add("photos", ["b", "c"], torch.ones(1, 8))
    (part,) = tmp_path.glob("*.safetensors")
    part.write_bytes(part.read_bytes()[:40])
    with pytest.raises(DataError, match="damaged"):
        TeacherCache(tmp_path)


def test_a_kd_head_fills_the_cache_and_then_needs_no_teacher(tmp_path: Path, teacher: AdaptedModel) -> None:
    student = [torch.randn(6, 5, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    other = PHOTOS.flip(0)
    pictures = {"rasters": RASTERS, "positive_images": PHOTOS, "negative_images": other}
    expected = KDHead(copy.deepcopy(teacher))(*student, **pictures, beta=0.1)
    first = KDHead(teacher, cache=TeacherCache(tmp_path, teacher))(*student, **pictures, beta=0.1)
    alone = KDHead(cache=TeacherCache(tmp_path))
    assert alone.teacher is None
    keys = {"sketch_keys": content_keys(RASTERS), "positive_keys": content_keys(PHOTOS)}
    second = alone(*student, **keys, negative_keys=content_keys(other), beta=0.1)
    torch.testing.assert_close(first, expected)
    assert torch.equal(second, first)
    assert len(TeacherCache(tmp_path)) == 12
    batch = alone.over_batch(student[0], student[1], rasters=RASTERS, images=PHOTOS, beta=0.1)
    torch.testing.assert_close(
        batch, KDHead(teacher).over_batch(student[0], student[1], rasters=RASTERS, images=PHOTOS, beta=0.1)
    )
    with pytest.raises(MissingDataError, match="lacks 6 of 6 photos"):
        alone.embed_photos(PHOTOS + 0.5)
    with pytest.raises(ParameterError, match="needs a teacher"):
        KDHead()
    with pytest.raises(ParameterError, match="for a KD head with a cache"):
        KDHead(teacher).embed_photos(keys=KEYS)


class Power(nn.Module):
    """Two of these differ in a number or a function that no weight shows."""

    def __init__(self, power: float = 3.0, last: object = torch.relu) -> None:
        super().__init__()
        self.power, self.last = power, last
        self.conv = nn.Conv2d(3, 8, 3)
        nn.init.constant_(self.conv.weight, 0.1)
        nn.init.constant_(self.conv.bias, 0.1)
        nn.init.normal_(self.conv.weight, generator=torch.Generator().manual_seed(0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.conv(images).abs().pow(self.power).mean((2, 3)))


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("other", [{"power": 2.0}, {"last": torch.sin}])
def test_another_function_is_another_teacher(tmp_path: Path, other: dict[str, object], adapted: bool) -> None:
    def made(**arguments: object) -> nn.Module:
        torch.manual_seed(0)
        return adapt(Power(**arguments), canvases=(32,), photo_size=32) if adapted else Power(**arguments)

    TeacherCache(tmp_path, made().train())
    TeacherCache(tmp_path, made())
    with pytest.raises(WeightsError, match="the same weights but computes something else"):
        TeacherCache(tmp_path, made(**other))


def test_quantized_teachers(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls it outdated
        first, second = (
            torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(3, 2)), {nn.Linear}) for _ in range(2)
        )
    assert teacher_fingerprint(first) == teacher_fingerprint(first)
    assert teacher_fingerprint(first) != teacher_fingerprint(second)


def test_other_files_of_the_folder_are_not_read(tmp_path: Path, teacher: AdaptedModel) -> None:
    teacher.save_pretrained(tmp_path)
    TeacherCache(tmp_path, teacher).add("photos", ["a"], torch.ones(1, 8))
    assert len(TeacherCache(tmp_path)) == 1


def test_keys_and_pictures_of_a_kd_head(tmp_path: Path, teacher: AdaptedModel) -> None:
    head, plain = KDHead(teacher, cache=TeacherCache(tmp_path, teacher)), KDHead(teacher)
    for count in (5, 7):
        with pytest.raises(ParameterError, match=f"each of the 6 photos needs its key, but there are {count} keys"):
            head.embed_photos(PHOTOS, keys=list("abcdefg")[:count])
    assert head.embed_photos(PHOTOS[:0]).shape == head.embed_rasters(RASTERS[:0], keys=[]).shape == (0, 8)
    torch.testing.assert_close(head.embed_rasters(RASTERS.numpy()), plain.embed_rasters(RASTERS.numpy()))
    assert KDHead(cache=TeacherCache(tmp_path)).embed_rasters(RASTERS[:0]).shape == (0, 8)
