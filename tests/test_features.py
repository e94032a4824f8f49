"""Feature extractors: the lab's own classifier, the user's TorchScript file, and who may name one."""

import hashlib
import json
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from tests.test_outside import stranger  # noqa: F401 (a fixture)
from toylab import outside, randomness
from toylab.configuration import FeatureChoice, Settings, read, validate
from toylab.errors import BadInput
from toylab.images import classifier
from toylab.images.classifier import Digits, resized
from toylab.images.features import Given, Inception
from toylab.index import FEATURES, IMAGE_METRICS

DIGITS = torch.from_numpy(load_digits().images)[:, None] / 8 - 1
LABELS = torch.from_numpy(load_digits().target)


class Tiny(nn.Module):
    """Of the signature of NVIDIA's file: means of the channels and their sum, or classes."""

    def __init__(self, logits: bool = False, bias: float = 1.0):
        super().__init__()
        self.bias, self.logits = bias, logits

    def forward(self, img: Tensor, return_features: bool = False, no_output_bias: bool = False) -> Tensor:
        assert img.dtype == torch.uint8
        assert img.shape[1] == 3
        x = img.float().mean((2, 3))
        if return_features:
            return torch.cat([x, x.sum(1, keepdim=True)], 1)
        scores = x / 100
        if not no_output_bias:
            scores = scores + torch.tensor([self.bias, 0.0, 0.0])
        return scores if self.logits else scores.softmax(1)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("theirs") / "inception.pt"
    torch.jit.script(Tiny()).save(path)
    return path


def images(n: int = 5, channels: int = 3) -> Tensor:
    return torch.rand(n, channels, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 2 - 1


# -- the lab's own classifier ------------------------------------------------------------------------------


def test_the_classifier_knows_digits_that_it_was_not_trained_on():
    digits = Digits()
    assert digits.accuracy() > 0.97
    order = torch.randperm(len(DIGITS), generator=randomness.stream(0, "classifier/split"))
    held_out = order[-360:]
    found = digits.log_probabilities_of(DIGITS[held_out].flatten(1), (1, 8, 8))
    assert float((found.argmax(1) == LABELS[held_out]).double().mean()) == digits.accuracy()
    torch.testing.assert_close(found.exp().sum(1), torch.ones(360, dtype=torch.float64))


def test_features_are_those_before_the_last_layer():
    digits = Digits()
    features = digits(DIGITS[:9])
    assert features.shape == (9, digits.num_features)
    assert features.dtype == torch.float64
    last = digits.network[-1]
    scores = digits.unit * features @ last.weight.mT + last.bias
    torch.testing.assert_close(scores.log_softmax(1), digits.log_probabilities(DIGITS[:9]))
    trained_on = torch.randperm(len(DIGITS), generator=randomness.stream(0, "classifier/split"))[:-360]
    assert float(digits(DIGITS[trained_on]).square().mean()) == pytest.approx(1, abs=1e-6)


def test_images_of_other_sizes_and_colours_are_brought_to_eight_by_eight():
    assert resized(DIGITS).equal(DIGITS)
    assert resized(torch.cat([DIGITS, DIGITS - 1, DIGITS + 1], 1)).allclose(DIGITS)
    small = nn.functional.interpolate(DIGITS[:200], size=(32, 32), mode="bilinear")
    flat = small.expand(-1, 3, -1, -1).flatten(1)
    labels = Digits().log_probabilities_of(flat, (3, 32, 32)).argmax(1)
    assert float((labels == LABELS[:200]).double().mean()) > 0.9
    row = torch.rand(32, dtype=torch.float64)
    reach = torch.arange(32) - (4 * torch.arange(8) + 1.5)[:, None]  # antialiasing: a triangle, four pixels each way
    weights = (1 - reach.double().abs() / 4).clamp(min=0)
    expected = (weights * row).sum(1) / weights.sum(1)
    torch.testing.assert_close(resized(row.expand(1, 1, 32, 32)), expected.expand(1, 1, 8, 8))


def test_pixels_are_neither_clipped_nor_rounded():
    digits = Digits()
    x = DIGITS[:3]
    assert not digits(x * 1.5).equal(digits((x * 1.5).clamp(-1, 1)))
    assert not digits(x + 1e-6).equal(digits(x))


@pytest.mark.slow
def test_training_anew_gives_the_weights_that_are_kept_and_draws_nothing_from_torch():
    state = torch.get_rng_state()
    kept = {name: tensor.float() for name, tensor in Digits().state_dict().items()}
    assert classifier.fingerprint_of(classifier.trained()) == classifier.fingerprint_of(kept)
    assert torch.get_rng_state().equal(state)


@pytest.mark.slow
def test_another_order_of_rounding_does_not_reach_the_weights(monkeypatch: pytest.MonkeyPatch):
    """As another machine's would: here by an input that is off by one in the last place."""
    monkeypatch.setattr(classifier, "_STEPS", 100)
    first, (images, labels) = classifier.trained(), classifier._digits()
    monkeypatch.setattr(classifier, "_digits", lambda: (images * (1 + 2**-52), labels))
    assert classifier.fingerprint_of(first) == classifier.fingerprint_of(classifier.trained())
    monkeypatch.setattr(classifier, "_digits", lambda: (images * (1 + 1e-5), labels))
    assert classifier.fingerprint_of(first) != classifier.fingerprint_of(classifier.trained())


def test_weights_are_kept_and_damage_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    weights = {name: tensor.float() for name, tensor in Digits().state_dict().items()}
    trainings = []
    monkeypatch.setattr(classifier, "trained", lambda: trainings.append(1) or weights)
    monkeypatch.setenv("TOYLAB_CACHE", str(tmp_path / "new"))
    assert Digits().fingerprint == Digits().fingerprint
    assert len(trainings) == 1
    (kept,) = (tmp_path / "new").iterdir()
    content = bytearray(kept.read_bytes())
    content[-3] ^= 1
    kept.write_bytes(content)
    with pytest.raises(BadInput, match="damaged, remove it: its weights are not those"):
        Digits()
    kept.write_bytes(content[:100])
    with pytest.raises(BadInput, match="damaged, remove it"):
        Digits()
    monkeypatch.setenv("TOYLAB_CACHE", str(kept))  # a file, not a folder
    with pytest.raises(BadInput, match=r"cannot keep weights in .* set TOYLAB_CACHE"):
        Digits()


# -- what every extractor does -----------------------------------------------------------------------------


class Counting(nn.Module):
    """Flat pixels; `calls` counts."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.flatten(1)


def test_features_of_points_are_computed_once_and_follow_their_content():
    module = Counting()
    features = Given(module, "flat", 48)
    x = images().flatten(1)
    found = features.of(torch.stack([x, -x]), (3, 4, 4))
    assert found.equal(torch.stack([x, -x]))
    assert features.of(torch.stack([x, -x]), (3, 4, 4)).equal(found)
    assert module.calls == 1
    x[0, 0] = 0.5
    assert features.of(x, (3, 4, 4)).equal(x)
    assert module.calls == 2
    for shift in range(9):
        features.of(x + shift, (3, 4, 4))
    assert len(features._seen) <= 4


def test_a_pixel_that_is_not_finite_is_not_hidden(script: Path):
    x = images().flatten(1)
    x[2, 5] = torch.nan
    x[3, 1] = torch.inf
    for features in (Digits(), Inception(str(script))):
        found = features.of(x, (3, 4, 4))
        assert found.isnan().any(1).tolist() == [False, False, True, True, False]


@pytest.mark.parametrize(("size", "shape"), [(48, (48,)), (48, (3, 4, 5)), (64, (8, 8))])
def test_a_shape_is_that_of_images(size: int, shape: tuple[int, ...]):
    with pytest.raises(BadInput, match=r"image metrics need a shape \(C, H, W\)"):
        Given(Counting(), "flat", size).of(torch.zeros(3, size), shape)


def test_fid_is_the_name_of_inceptions_numbers_alone(script: Path):
    theirs, ours = Inception(str(script)), Digits()
    own = Given(Counting(), "flat", 48)
    of_features = [name for name in IMAGE_METRICS if name != "pixel-fd"]
    names = {features.name: [features.metric_name(name) for name in of_features] for features in (theirs, ours, own)}
    assert names["inception"][:3] == ["fid", "kid", "is"]
    assert names["digits"][:3] == ["fd-digits", "kd-digits", "is-digits"]
    assert names["digits"][3:] == ["feature-precision-digits", "feature-recall-digits", "feature-nearest-ratio-digits"]
    assert names["inception"][3] == "feature-precision-inception"
    assert not {"fid", "kid", "is"} & {*names["digits"], *names["flat"]}
    assert len({name for of_one in names.values() for name in of_one}) == 3 * len(of_features)


# -- the user's Inception ----------------------------------------------------------------------------------


def test_inception_sees_bytes_of_three_channels(script: Path):
    theirs = Inception(str(script))
    assert theirs.num_features == 4
    assert theirs.fingerprint == hashlib.sha256(script.read_bytes()).hexdigest()
    x = images()
    means = (127.5 * x + 128).floor().clamp(0, 255).mean((2, 3))
    expected = torch.cat([means, means.sum(1, keepdim=True)], 1)
    torch.testing.assert_close(theirs.of(x.flatten(1), (3, 4, 4)), expected, rtol=1e-6, atol=1e-4)
    ends = torch.tensor([-2.0, -1.0, 1.0, 2.0]).reshape(4, 1, 1, 1).expand(4, 1, 2, 2)
    assert theirs(ends)[:, :3].tolist() == [[0.0] * 3, [0.0] * 3, [255.0] * 3, [255.0] * 3]
    with pytest.raises(BadInput, match="one or three channels, not 2"):
        theirs(images(channels=2))


@pytest.mark.parametrize("logits", [False, True])
def test_classes_are_without_bias_be_they_probabilities_or_logits(tmp_path: Path, logits: bool):
    path = tmp_path / "other.pt"
    torch.jit.script(Tiny(logits=logits)).save(path)
    x = images()
    expected = (Inception(str(path)).of(x.flatten(1), (3, 4, 4))[:, :3] / 100).log_softmax(1)
    found = Inception(str(path)).log_probabilities_of(x.flatten(1), (3, 4, 4))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_what_is_no_such_file_is_told_in_one_line(tmp_path: Path):
    torch.jit.script(nn.Linear(3, 2)).save(tmp_path / "linear.pt")
    (tmp_path / "empty.pt").write_bytes(b"no archive")
    for name, message in {
        "linear.pt": "cannot use the Inception weights",
        "empty.pt": "cannot use the Inception weights",
        "missing.pt": "cannot use the Inception weights .*No such file",
        "inception.pkl": "a TorchScript file whose name ends in .pt",
    }.items():
        with pytest.raises(BadInput, match=message) as caught:
            Inception(str(tmp_path / name))
        assert "\n" not in str(caught.value)


# -- who may name code -------------------------------------------------------------------------------------


class Evaluation(Settings):
    """As an experiment's settings hold a choice of features."""

    features: FeatureChoice


def test_a_configuration_that_names_a_torchscript_file_is_refused(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outside, "_admitted", set())
    file = tmp_path / "theirs.json"
    file.write_text(json.dumps({"features": {"name": "inception", "weights": str(script)}}))
    loaded, load = read(file), torch.jit.load
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("loaded before it was allowed"))
    with pytest.raises(BadInput, match="names code, and a configuration that names code is run only with --allow-code"):
        validate(Evaluation, loaded)

    monkeypatch.setattr(torch.jit, "load", load)
    outside.admit(*outside.named(loaded))  # what --allow-code does, and typing it on the command line
    complete = validate(Evaluation, loaded).model_dump()["features"]
    hashed = hashlib.sha256(script.read_bytes()).hexdigest()[:16]
    assert complete == {"name": "inception", "weights": str(script), "code": hashed}
    assert isinstance(validate(FeatureChoice, complete).build(), Inception)
    with pytest.raises(BadInput, match="is not that which this configuration names by its hash"):
        validate(FeatureChoice, {**complete, "code": "0" * 16})
    with pytest.raises(BadInput, match=r"name ends in \.pt"):
        validate(FeatureChoice, {"name": "inception", "weights": str(script.with_suffix(""))})


def test_features_by_code_are_loaded_when_they_were_admitted(stranger):  # noqa: F811
    stranger(
        "import torch\nfrom toylab.images.features import Given\n"
        "def flat(size: int = 48) -> Given:\n    return Given(torch.nn.Flatten(), 'mine', size)\n"
        "ready = flat()\n"
        "def not_one() -> int:\n    return 3\n"
        "class Bare(torch.nn.Flatten):\n    num_features = 48\n"
    )
    with pytest.raises(BadInput, match="only with --allow-code"):
        validate(FeatureChoice, "stranger:flat")
    assert "stranger" not in sys.modules
    outside.admit("stranger:flat", "stranger:ready", "stranger:not_one", "stranger:Bare")
    choice = validate(FeatureChoice, {"name": "stranger:flat", "size": 32})
    assert choice.build().metric_name("fd") == "fd-mine"
    assert choice.build().num_features == 32
    assert choice.build() is choice.build()
    assert choice.model_dump()["code"] == outside.source_hash("stranger")
    assert validate(FeatureChoice, "stranger:ready").build().num_features == 48
    with pytest.raises(BadInput, match="makes no feature extractor: it must be callable, and its `num_features`"):
        validate(FeatureChoice, "stranger:not_one")
    with pytest.raises(BadInput, match="makes no feature extractor: it has no of, metric_name, describe"):
        validate(FeatureChoice, "stranger:Bare")


def test_the_index_of_features():
    assert list(FEATURES) == ["digits", "inception"]
    choice = validate(FeatureChoice, "digits")
    assert choice.model_dump() == {"name": "digits"}
    assert isinstance(choice.build(), Digits)


def test_nothing_asks_for_torchvision():
    wanted = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    extra = wanted["project"]["optional-dependencies"]["images"]
    (torchmetrics,) = (line for line in extra if line.startswith("torchmetrics"))
    assert torchmetrics == "torchmetrics>=1.8"  # not its extra [image]
