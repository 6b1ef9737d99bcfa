"""Every policy: it cannot see the truth, it finds what was planted where it looks, and nothing where nothing is."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sketchkit import adapt
from sketchkit.recipes.config import SelectorConfig
from sketchkit.recipes.policies.blind import BestMixture, Fixed, SameMix, UniformRandom
from sketchkit.recipes.policies.cascades import LearnedCascade, LookThenChoose, MarginCascade
from sketchkit.recipes.policies.comparison import all_policies, compare
from sketchkit.recipes.policies.drawn import MeasureNetwork, MeasureRule
from sketchkit.recipes.policies.recurrent import StrokeReader
from sketchkit.recipes.policies.success import SuccessModel

BUDGETS = [2e6, 4e6, 8e6]
SHORT = SelectorConfig(epochs=20, lambda_F=0.3, dial=[0.5], batch_sketches=32, learning_rate=1e-2, entropy_weight=0.02)


def folds(made, signal, seeds=2):
    return [made(signal, fold=fold, seed=seed) for fold in range(3) for seed in range(seeds)]


@pytest.fixture(scope="module")
def fitted(made):
    training = [made("margin", fold=fold, photos=20) for fold in (0, 1)]
    policies = all_policies(training, SHORT)
    for policy in policies:
        policy.fit(training, 0)
    return policies


def test_no_policy_sees_the_truth(made, fitted):
    outcomes = made("margin", fold=2, photos=20)
    turned = replace(
        outcomes,
        ranks=1 + outcomes.ranks[::-1] % 7,
        triplet_losses=outcomes.triplet_losses[::-1],
        photo_of_sketch=outcomes.photo_of_sketch[::-1],
    )
    for policy in fitted:
        for value in policy.values(BUDGETS):
            seen, blindfolded = policy.choose(outcomes, value), policy.choose(turned, value)
            same = np.array_equal(seen.chances, blindfolded.chances) and np.array_equal(seen.flops, blindfolded.flops)
            assert same == (policy.sees != "truth"), policy.name


def test_chances_sum_to_one_and_nothing_is_cheaper_than_its_pass(made, fitted):
    outcomes = made("margin", fold=2, photos=20)
    for policy in fitted:
        for value in policy.values(BUDGETS):
            choice = policy.choose(outcomes, value)
            assert np.allclose(choice.chances.sum(axis=1), 1)
            assert np.all(choice.flops >= (choice.chances * outcomes.flops).sum(axis=1) * (1 - 1e-12))


@pytest.mark.parametrize(
    ("signal", "policy"),
    [
        ("ink", MeasureRule("ink")),
        ("ink", MeasureRule("points")),
        ("ink", MeasureNetwork()),
        ("ink", StrokeReader("expected", replace(SHORT, epochs=25, dial=[], learning_rate=6e-3))),
        ("margin", MarginCascade()),
        ("margin", LearnedCascade()),
        ("embedding", LearnedCascade(embedding=True)),
        ("embedding", LookThenChoose()),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_policy_finds_what_was_planted_where_it_looks(made, signal, policy):
    points = compare(folds(made, signal), [policy], budgets=BUDGETS, draws=500)
    assert max(point.over_blind.low for point in points) > 0.015


def test_where_there_is_nothing_to_see_nothing_is_found(made):
    outcomes = [made("none", fold=fold, photos=60) for fold in range(2)]
    for point in compare(outcomes, all_policies(outcomes, replace(SHORT, dial=[])), budgets=BUDGETS, draws=500):
        deviation = (point.over_blind.high - point.over_blind.low) / 3.92
        if point.sees != "truth":
            assert point.over_blind.mean < 3 * deviation + 0.01, point


def test_blind_policies_by_hand(made):
    outcomes = made()
    found = outcomes.right.mean(axis=0)
    assert Fixed(1, 64).choose(outcomes, 0).hits(outcomes).mean() == pytest.approx(found[1])
    uniform = UniformRandom().choose(outcomes, 0)
    assert uniform.hits(outcomes).mean() == pytest.approx(found.mean())
    assert uniform.flops.mean() == pytest.approx(7e6)
    mixture = BestMixture()
    mixture.fit([outcomes], 0)
    assert mixture.choose(outcomes, 10e6).flops.mean() == pytest.approx(10e6)
    mix = SameMix(MeasureRule("ink"))
    mix.fit([made("ink", fold=1)], 0)
    other = mix.other.choose(outcomes, 5e6)
    assert np.allclose(mix.choose(outcomes, 5e6).chances, other.chances.mean(axis=0))


def test_the_gru_and_its_cost_are_the_selectors(made):
    reader = StrokeReader("reinforce", SelectorConfig(epochs=1, dial=[0.5]))
    assert reader.values(BUDGETS) == [0.2, 0.5]
    outcomes = made(photos=5)
    reader.fit([outcomes], 0)
    adapted = adapt("mobilenet_v2", pretrained=False, canvases=(32, 64, 96), photo_size=64)
    adapted.canvas_selector.load_state_dict(reader.selectors[0.5].state_dict())
    spent = adapted.cost(outcomes.sketches)
    choice = reader.choose(outcomes, 0.5)
    assert choice.canvas.tolist() == adapted.canvas_selector.select(outcomes.sketches).tolist()
    passes = np.array([each.flops for each in spent.per_canvas.values()])[choice.canvas]
    own = choice.flops - outcomes.flops[np.arange(len(passes)), choice.canvas]
    assert np.allclose(own, spent.flops_per_drawing - passes)


def test_training_leaves_the_random_numbers_of_others_alone(made):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    StrokeReader("expected", SelectorConfig(epochs=1, dial=[])).fit([made(photos=4)], 0)
    MeasureNetwork().fit([made(photos=4)], 0)
    assert torch.equal(torch.rand(1), expected)


def test_a_predictor_is_calibrated_on_rows_it_did_not_see():
    """Pure noise: what was trained on looks foreseen, what was left out does not."""
    generator = np.random.default_rng(0)
    features, success = generator.normal(size=(200, 30)), (generator.random((200, 2)) < 0.5).astype(float)
    model = SuccessModel.fit(features, success, np.arange(200), 0)
    assert abs(np.corrcoef(model.cross_fitted[:, 0], success[:, 0])[0, 1]) < 0.2
    again = SuccessModel.fit(features, success, np.arange(200), 0)
    assert np.array_equal(model(features), again(features))


def test_a_predictor_takes_what_is_not_defined(made):
    features = np.array([[1.0, np.nan, np.nan], [2.0, 5.0, np.nan], [3.0, 7.0, np.nan]] * 10)
    model = SuccessModel.fit(features, np.tile([[0.0], [1.0], [1.0]], (10, 1)), np.arange(30), 0)
    assert np.isfinite(model(np.full((1, 3), np.inf))).all()
    assert model.flops >= 2 * 3 + 2 * 1
