import pytest
from omegaconf import OmegaConf

from sketchkit.errors import MissingDataError, ParameterError
from sketchkit.recipes.config import FgsbirConfig, load_config, shipped_configs
from sketchkit.recipes.settings import to_yaml


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_every_shipped_configuration_parses(name):
    assert isinstance(load_config(name), FgsbirConfig)


def test_words_override_the_file():
    config = load_config("demo", ["data.name=qmul", "data.root=some/where", "student.training.epochs=3", "seed=7"])
    assert (config.data.name, config.data.root, config.student.training.epochs, config.seed) == (
        "qmul",
        "some/where",
        3,
        7,
    )
    assert config.data.max_test_photos == 100, "what no word names stays as the file says"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["data.nam=x"], "unknown setting data.nam; did you mean data.name"),
        (["student.training.epoch=3"], "did you mean student.training.epochs"),
        (["seed=many"], "seed: "),
        (["data.split=validation"], "data.split must be one of auto, test, fold"),
        (["student.training.epochs=0"], "epochs must be at least 1"),
        (["selector.lambda_F=2"], "must be from 0 to 1"),
        (["data=qmul"], "data must hold keys and values"),
        (["seed"], "is not key=value"),
    ],
)
def test_a_wrong_word_is_refused_with_the_right_one(words, says):
    with pytest.raises(ParameterError, match=says):
        load_config("demo", words)


def test_an_unknown_configuration_names_the_shipped_ones():
    with pytest.raises(MissingDataError, match=r"nowhere: no such file.*demo"):
        load_config("nowhere")


def test_broken_yaml_is_named(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("data: [unclosed")
    with pytest.raises(ParameterError, match=r"broken\.yaml"):
        load_config(str(path))


def test_what_is_written_beside_results_reads_back_equal(tmp_path):
    config = load_config("chairv2", ["data.root=x", "seed=3"])
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert load_config(str(path)) == config
    assert "lambda_F" in OmegaConf.load(path).selector
