"""Whole numbers: each step against ONNX Runtime's own figures in float32, on graphs written by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from sketchkit.adapters.bias_correction import correct_biases
from sketchkit.adapters.equalizing import equalize
from sketchkit.adapters.observing import best_ranges, constants, observed
from sketchkit.adapters.onnx_runtime import session
from sketchkit.adapters.quantizing import _first_layers, _prepared, _quantized, _quiet, whole_numbers

onnx = pytest.importorskip("onnx", reason="exporting needs sketchkit[export]")
pytest.importorskip("onnxruntime", reason="exporting needs sketchkit[export]")

Node = tuple[str, list[str], str, dict[str, Any]]


def images(count: int = 6, side: int = 12) -> list[np.ndarray]:
    """Dark lines on white, as of drawings, and noise."""
    generator = np.random.default_rng(0)
    drawn = np.where(generator.random((count, 1, side, side)) < 0.1, 0, 1).repeat(3, axis=1)
    return [drawn.astype(np.float32), generator.random((count, 3, side, side), np.float32)]


def graph(nodes: list[Node], weights: dict[str, np.ndarray], features: int) -> Any:
    helper, kind = onnx.helper, onnx.TensorProto
    made = helper.make_graph(
        [helper.make_node(op, read, [made], name=made, **options) for op, read, made, options in nodes],
        "made",
        [helper.make_tensor_value_info("images", kind.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info("embeddings", kind.FLOAT, ["batch", features, "y", "x"])],
        [onnx.numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def convolution(
    read: str, made: str, outputs: int, inputs: int, weights: dict[str, np.ndarray], scale: Any = 1.0, **options: Any
) -> Node:
    """A Conv, its weights drawn and added; `scale` is one number, or one for each channel of the output."""
    generator = np.random.default_rng(len(weights))
    scales = np.broadcast_to(scale, outputs)
    side = options.get("kernel_shape", [1, 1])[0]
    weights[f"{made}_w"] = generator.normal(size=(outputs, inputs, side, side)) * scales[:, None, None, None]
    weights[f"{made}_b"] = generator.normal(size=outputs) * scales
    return "Conv", [read, f"{made}_w", f"{made}_b"], made, {"kernel_shape": [side, side], **options}


def uneven(bound: float | None) -> Any:
    """Residual blocks as MobileNetV2's, whose channels reach from 1/50 as far to 50 times as far as one another."""
    weights: dict[str, np.ndarray] = {}
    if bound is not None:
        weights |= {"low": np.array(0), "high": np.array(bound)}
    scale = np.geomspace(0.02, 1, 8)
    nodes = [convolution("images", "stream_0", 8, 3, weights, scale, strides=[2, 2], kernel_shape=[3, 3])]
    for block in range(2):
        read, made = f"stream_{block}", f"stream_{block + 1}"
        cut = ("Relu", [], {}) if bound is None else ("Clip", ["low", "high"], {})
        deep = {"kernel_shape": [3, 3], "pads": [1] * 4}
        nodes += [
            convolution(read, f"wide_{block}", 12, 8, weights, np.geomspace(1, 0.02, 12)),
            (cut[0], [f"wide_{block}", *cut[1]], f"cut_{block}", {}),
            convolution(f"cut_{block}", f"deep_{block}", 12, 1, weights, np.geomspace(0.05, 1, 12), group=12, **deep),
            (cut[0], [f"deep_{block}", *cut[1]], f"cut_deep_{block}", {}),
            convolution(f"cut_deep_{block}", f"narrow_{block}", 8, 12, weights, 0.3 * scale),
            ("Add", [read, f"narrow_{block}"], made, {}),
        ]
    # Every channel counts alike in the end.
    last = convolution("stream_2", "embeddings", 6, 8, weights)
    weights["embeddings_w"] = weights["embeddings_w"] / scale[None, :, None, None]
    return graph([*nodes, last], weights, 6)


def embeddings(model: Any) -> np.ndarray:
    running = session(model.SerializeToString(), threads=1)
    return np.concatenate([running.run(["embeddings"], {"images": batch})[0] for batch in images()])


def error(model: Any, expected: np.ndarray) -> float:
    """Root of the mean squared error, as a share of the values' deviation."""
    return float(np.sqrt(((embeddings(model) - expected) ** 2).mean()) / expected.std())


def reach(model: Any, name: str) -> np.ndarray:
    return np.max([np.abs(found[name]).max((0, 2, 3)) for found in observed(model, [name], images())], axis=0)


@pytest.mark.parametrize("bound", [None, 0.5, 6.0])
def test_equalized_is_the_same_network_with_channels_of_one_range(bound: float | None) -> None:
    model = uneven(bound)
    even = equalize(model, images())
    expected = embeddings(model)
    np.testing.assert_allclose(embeddings(even), expected, atol=1e-4 * np.abs(expected).max(), rtol=0)
    for name in ("stream_0", "stream_2", "cut_deep_1"):
        before, after = reach(model, name), reach(even, name)
        alive = before > 0
        before, after = before[alive], after[alive]
        assert before.max() / before.min() > 2 * after.max() / after.min()
        assert after.min() >= 0.999 * before.min()
    # Along a residual stream every tensor has the factors of all the others.
    factors = [reach(even, name) / reach(model, name) for name in ("stream_0", "stream_1", "narrow_0", "narrow_1")]
    for each in factors[1:]:
        np.testing.assert_allclose(each, factors[0], rtol=1e-3)


@pytest.mark.parametrize(
    "between",
    [
        [("Sigmoid", ["first"], "read", {})],
        [("Add", ["first", "constant"], "read", {})],
        [("Clip", ["first", "low", "high"], "read", {})],
        [("Sum", ["first"], "other", {}), ("Add", ["first", "other"], "read", {})],
    ],
)
def test_factors_do_not_pass_what_would_change_by_them(between: list[Node]) -> None:
    weights = {"constant": np.ones((1, 4, 1, 1)), "low": np.array(-1.0), "high": np.array(1.0)}
    first = convolution("images", "first", 4, 3, weights, np.geomspace(0.01, 1, 4))
    last = convolution("read", "embeddings", 2, 4, weights)
    model = graph([first, *between, last], weights, 2)
    for name, value in constants(equalize(model, images())).items():
        np.testing.assert_array_equal(value, constants(model)[name])


def test_a_range_clips_what_few_values_reach() -> None:
    weights: dict[str, np.ndarray] = {}
    model = graph([convolution("images", "embeddings", 1, 3, weights)], weights, 1)
    rows = [np.random.default_rng(1).random((1000, 3, 24, 24), np.float32)]
    rows[0][0, :, 0, 0] = 3.0
    values = np.concatenate([found["embeddings"].ravel() for found in observed(model, ["embeddings"], rows)])

    def loss(low: float, high: float) -> float:
        """By a table of the 256 numbers, each value to the nearest."""
        step = (high - low) / 255
        table = (np.arange(256) - round(-low / step)) * step
        nearest = table[np.searchsorted((table[1:] + table[:-1]) / 2, values)]
        return float(((nearest - values) ** 2).mean())

    low, high = best_ranges(model, ["embeddings"], rows)["embeddings"]
    whole = min(0.0, float(values.min())), max(0.0, float(values.max()))
    assert low * whole[1] == pytest.approx(high * whole[0])
    assert loss(low, high) < 0.8 * loss(*whole)
    others = [loss(share * whole[0], share * whole[1]) for share in np.linspace(0.3, 1, 15)]
    assert loss(low, high) < 1.1 * min(others)


def test_what_is_always_zero_has_no_range() -> None:
    weights = {"zero": np.array(0.0)}
    nodes = [("Mul", ["images", "zero"], "nothing", {}), convolution("nothing", "embeddings", 2, 3, weights)]
    assert set(best_ranges(graph(nodes, weights, 2), ["nothing", "embeddings"], images())) == {"embeddings"}


def test_corrected_layers_give_the_mean_of_float32() -> None:
    """Of a layer right behind the images: what deeper ones give also depends on the rounding before them."""
    weights: dict[str, np.ndarray] = {}
    nodes = [convolution("images", "first", 8, 3, weights, kernel_shape=[3, 3])]
    # Weights of one sign, so that all of a channel's errors have one sign on a white ground.
    weights["first_w"] = np.full((8, 3, 3, 3), 0.503)
    weights["first_w"][:, 0, 0, 0] = np.linspace(1, 3, 8)
    nodes.append(convolution("first", "embeddings", 2, 8, weights))
    model = _prepared(graph(nodes, weights, 2))
    with _quiet():
        quantized = _quantized(model, [], images())
    means = []
    for each in (model, quantized, correct_biases(quantized, model, images())):
        made = next(node.output[0] for node in each.graph.node if node.name == model.graph.node[0].name)
        found = np.concatenate([found[made] for found in observed(each, [made], images())])
        means.append(found.mean(axis=(0, 2, 3)))
    expected, plain, corrected = means
    assert np.abs(plain - expected).max() > 0.005
    assert np.abs(corrected - expected).max() < 0.1 * np.abs(plain - expected).max()


@pytest.mark.parametrize("bound", [None, 6.0])
def test_together_they_err_much_less_than_plain_rounding(bound: float | None) -> None:
    model = uneven(bound)
    expected = embeddings(model)
    with _quiet():
        plain = _quantized(_prepared(model), [], images())
    assert error(whole_numbers(model, images()), expected) < 0.5 * error(plain, expected)


def test_the_first_layers_stay_in_float32_up_to_a_tenth_of_the_products() -> None:
    """At 1 x 1 kernels the products are outputs x inputs a place: 12, 24, 36 and 900, then 1800."""
    weights: dict[str, np.ndarray] = {}
    widths = [3, 4, 6, 6, 150, 12]
    nodes, read = [], "images"
    for place, (inputs, outputs) in enumerate(pairwise(widths)):
        made = "embeddings" if place == 4 else f"layer_{place}"
        nodes.append(convolution(read, made, outputs, inputs, weights))
        if place == 1:
            nodes.append(("Relu", [made], "relu", {}))
        read = "relu" if place == 1 else made
    model = graph(nodes, weights, 12)
    prepared = _prepared(model)
    assert len(_first_layers(prepared, images()[0][:1])) == 4, "three convolutions and the ReLU between them"
    whole = constants(whole_numbers(model, images()))
    kinds = [value.dtype for value in whole.values() if value.ndim == 4]
    assert sorted(kinds, key=str) == [np.float32] * 3 + [np.int8] * 2


def test_layers_that_share_weights_are_quantized_apart() -> None:
    weights: dict[str, np.ndarray] = {}
    first = convolution("images", "first", 3, 3, weights, [1, 0.01, 0.1])
    again = ("Conv", ["first", "first_w", "first_b"], "second", first[3])
    bare = ("Conv", ["second", "first_w"], "third", first[3])
    model = graph([first, again, bare, convolution("third", "embeddings", 2, 3, weights)], weights, 2)
    expected = embeddings(model)
    even = equalize(_prepared(model), images())
    np.testing.assert_allclose(embeddings(even), expected, atol=1e-5 * np.abs(expected).max(), rtol=0)
    assert error(whole_numbers(model, images()), expected) < 0.05
