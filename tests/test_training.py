"""Training: gradients compared with closed forms, and checkpoints byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsparse.defended.images import DefendedImages
from rsparse.defenses import Resources, parse_defense
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.options.train import TrainParameters
from rsparse.store.images import to_unit
from rsparse.training.adversaries import Adversaries
from rsparse.training.samples import Shard
from rsparse.work.device import Device
from tests.conftest import make_picture
from tests.onnx_models import ConvNet, linear_classifier
from tests.refusals import refused

torch = pytest.importorskip("torch")

from rsparse.training.checkpoints import State, load_checkpoint, save_checkpoint  # noqa: E402
from rsparse.training.learner import Learner, Score  # noqa: E402
from rsparse.training.retrained import open_trainable  # noqa: E402

UNIT = InputOptions(preset="unit")
PLAIN = TrainParameters(
    train_on="clean",
    optimizer="sgd",
    momentum=0,
    weight_decay=0,
    label_smoothing=0,
    learning_rate=0.5,
)


@pytest.fixture(autouse=True)
def one_core(one_torch_core: None) -> None:
    """Run torch on one thread: more threads only wait for each other."""


@pytest.fixture
def learners() -> Iterator[object]:
    """Make learners, and close them at the end."""
    made: list[Learner] = []

    def make(
        path: Path,
        parameters: TrainParameters,
        threads: int = 1,
        precision: str = "float32",
        adversaries: Adversaries | None = None,
    ) -> Learner:
        trainable = open_trainable(load_classifier(path, UNIT), parameters, "cpu")
        made.append(Learner(trainable, parameters, precision, threads, adversaries))
        return made[-1]

    yield make
    for learner in made:
        learner.close()


def shard_of(
    images: np.ndarray,
    labels: list[int],
    eps: float = 0.0,
    share: float = 1.0,
    version: str = "clean",
) -> Shard:
    each = np.ones(len(images), np.float32)
    shown = (version,) * len(images)
    return Shard(images, images, shown, np.array(labels, np.int64), eps * each, share * each)


def noise(n: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3), dtype=np.uint8)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


class TestStep:
    weights = np.random.default_rng(0).normal(size=(3, 12))

    def gradient(self, x: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The gradient of the mean cross-entropy of a linear map: (p − wanted)ᵀ x / n."""
        found = softmax(x @ self.weights.T)
        return (found - wanted).T @ x / len(x)

    def flat(self, images: np.ndarray) -> np.ndarray:
        return to_unit(images).transpose(0, 3, 1, 2).reshape(len(images), -1).astype(float)

    @pytest.mark.parametrize("parts", [[5], [2, 2, 1]], ids=repr)
    @pytest.mark.parametrize("threads", [1, 3])
    def test_sgd_on_a_linear_map(self, tmp_path, learners, parts, threads):
        """However the batch is split, w becomes w − rate · (softmax − onehot)ᵀ x / n."""
        path = linear_classifier(tmp_path / "m.onnx", self.weights, (2, 2))
        learner = learners(path, PLAIN, threads)
        images, labels = noise(5, (2, 2)), [0, 1, 2, 1, 0]
        ends = np.cumsum(parts)
        shards = [
            shard_of(images[end - n : end], labels[end - n : end])
            for n, end in zip(parts, ends, strict=True)
        ]
        score = learner.step(shards, 0.5)
        x, wanted = self.flat(images), np.eye(3)[labels]
        gradient = self.gradient(x, wanted)
        found = learner.trainable.weights()
        np.testing.assert_allclose(found["w"], self.weights - 0.5 * gradient, atol=2e-6)
        bias = (softmax(x @ self.weights.T) - wanted).mean(0)
        np.testing.assert_allclose(found["b"], -0.5 * bias, atol=2e-6)
        log_p = np.log(softmax(x @ self.weights.T))
        assert score.images == 5
        assert score.loss == pytest.approx(-(log_p * wanted).sum(), rel=1e-5)
        assert score.right == (log_p.argmax(1) == labels).sum()

    def test_label_smoothing_and_decay(self, tmp_path, learners):
        """The targets are 1 − s + s/c and s/c; weights decay, the bias does not."""
        path = linear_classifier(tmp_path / "m.onnx", self.weights, (2, 2), np.ones(3))
        learner = learners(path, replace(PLAIN, label_smoothing=0.3, weight_decay=0.1))
        images = noise(2, (2, 2))
        learner.step([shard_of(images, [2, 0])], 0.5)
        wanted = 0.7 * np.eye(3)[[2, 0]] + 0.1
        gradient = self.gradient(self.flat(images), wanted) + 0.1 * self.weights
        found = learner.trainable.weights()
        np.testing.assert_allclose(found["w"], self.weights - 0.5 * gradient, atol=2e-6)
        assert found["b"].sum() == pytest.approx(3, abs=1e-5)  # the gradient of the bias sums to 0

    def test_blended_images_count_with_both_labels(self, tmp_path, learners):
        """The target is 0.75 of an image's own label and 0.25 of the previous image's."""
        path = linear_classifier(tmp_path / "m.onnx", self.weights, (2, 2))
        learner = learners(path, PLAIN)
        images, labels = noise(3, (2, 2)), [2, 0, 1]
        score = learner.step([shard_of(images, labels, share=0.75)], 0.5)
        wanted = 0.75 * np.eye(3)[labels] + 0.25 * np.eye(3)[[1, 2, 0]]
        x = self.flat(images)
        found = learner.trainable.weights()
        np.testing.assert_allclose(
            found["w"], self.weights - 0.5 * self.gradient(x, wanted), atol=2e-6
        )
        log_p = np.log(softmax(x @ self.weights.T))
        assert score.loss == pytest.approx(-(log_p * wanted).sum(), rel=1e-5)

    def test_adversarial_images_are_learned(self, tmp_path, learners):
        """The gradient is taken at the images after one FGSM step."""
        path = linear_classifier(tmp_path / "m.onnx", self.weights, (2, 2))
        learner = learners(path, PLAIN)
        images = noise(2, (2, 2))
        learner.step([shard_of(images, [2, 0], eps=8)], 0.5)
        x = self.flat(images)
        found = softmax(x @ self.weights.T)
        away = (found - np.eye(3)[found.argmax(1)]) @ self.weights
        moved = np.clip(x + 8 / 255 * np.sign(away), 0, 1)
        gradient = self.gradient(moved, np.eye(3)[[2, 0]])
        np.testing.assert_allclose(
            learner.trainable.weights()["w"], self.weights - 0.5 * gradient, atol=2e-6
        )

    def test_adversarial_images_behind_a_defense(self, tmp_path, learners):
        """They are attacked, then cleaned; images of other versions are neither."""
        path = linear_classifier(tmp_path / "m.onnx", self.weights, (2, 2))
        (defense,) = parse_defense("bit-depth:bits=3")
        adversaries = Adversaries.from_defenses([defense], Resources())
        (version,) = adversaries.defenses
        learner = learners(path, PLAIN, 2, adversaries=adversaries)
        images, labels = noise(4, (2, 2)), [0, 1, 2, 1]
        bare = learners(path, PLAIN)
        attacked = bare._shown(shard_of(images[2:], labels[2:], eps=20.0))
        pixels = (attacked * 255).round().byte().permute(0, 2, 3, 1).numpy()
        cleaned = np.stack([defense.clean(image, Resources()) for image in pixels])
        assert not np.array_equal(cleaned, pixels)
        plain = shard_of(images[:2], labels[:2])
        learner.step([plain, shard_of(images[2:], labels[2:], 20.0, version=version)], 0.5)
        x = self.flat(np.concatenate([images[:2], cleaned]))
        gradient = self.gradient(x, np.eye(3)[labels])
        np.testing.assert_allclose(
            learner.trainable.weights()["w"], self.weights - 0.5 * gradient, atol=2e-6
        )

    def test_behind_a_defense_on_a_device_they_are_cleaned_there_in_full_precision(
        self, tmp_path, learners, small_dictionary
    ):
        path = ConvNet(size=(24, 20)).save(tmp_path / "m.onnx")
        (defense,) = parse_defense("regionsparse:sparsity=2")
        resources, device = Resources({"": small_dictionary}), Device("torch-cpu")
        adversaries = Adversaries.from_defenses([defense], resources, device)
        (version,) = adversaries.defenses
        images = np.stack([make_picture(seed, 24, 20) for seed in range(3)])
        learner = learners(path, PLAIN, precision="bf16", adversaries=adversaries)
        with learner._autocast():
            shown = learner._shown(shard_of(images, [0] * 3, version=version))
        expected = np.stack(DefendedImages(defense, resources, device).clean(images))
        pixels = (shown * 255).round().byte().permute(0, 2, 3, 1).numpy()
        np.testing.assert_array_equal(pixels, expected)

    def test_images_of_a_whole_batch_are_purified_by_many_threads(self, tmp_path, learners):
        """Trained batch normalisation needs the whole batch at once; the images are the same."""
        path = ConvNet(activation="batch-norm").save(tmp_path / "m.onnx")
        adversaries = Adversaries.from_defenses(parse_defense("median"), Resources())
        (version,) = adversaries.defenses
        shard = shard_of(noise(5, (12, 10)), [0] * 5, 9.0, version=version)
        shown = [
            learners(path, parameters, threads, adversaries=adversaries)._shown(shard)
            for parameters, threads in ((PLAIN, 1), (replace(PLAIN, batch_norm=True), 3))
        ]
        assert torch.equal(*shown)

    def test_a_model_has_nothing_to_learn_of_itself(self, tmp_path, learners):
        path = ConvNet().save(tmp_path / "m.onnx")
        learner = learners(path, replace(PLAIN, distill=True, train_on="purified"))
        before = learner.trainable.weights()
        score = learner.step([shard_of(noise(4, (12, 10)), [-1] * 4)], 0.5)
        assert score == Score(0.0, 4, 4)
        for name, value in learner.trainable.weights().items():
            np.testing.assert_allclose(value, before[name], atol=1e-7)

    def test_distillation_follows_the_clean_image(self, tmp_path, learners):
        path = linear_classifier(tmp_path / "m.onnx", self.weights, (2, 2))
        learner = learners(
            path, replace(PLAIN, distill=True, train_on="purified", distill_temperature=2)
        )
        clean, changed = noise(3, (2, 2)), noise(3, (2, 2), seed=1)
        learner.step([replace(shard_of(changed, [-1] * 3), clean=clean)], 0.5)
        x, targets = self.flat(changed), softmax(self.flat(clean) @ self.weights.T / 2)
        found = softmax(x @ self.weights.T / 2)
        gradient = 2 * (found - targets).T @ x / 3  # T² · 1/T
        np.testing.assert_allclose(
            learner.trainable.weights()["w"], self.weights - 0.5 * gradient, atol=2e-6
        )

    def test_only_chosen_layers_change(self, tmp_path, learners):
        learner = learners(ConvNet().save(tmp_path / "m.onnx"), replace(PLAIN, train_layers="head"))
        names = {place: name for name, place in learner.twin.network.meta["stored"].items()}
        before = {name: x.clone() for name, x in learner.twin.network.state_dict().items()}
        learner.step([shard_of(noise(4, (12, 10)), [0, 1, 2, 3])], 0.5)
        after = learner.twin.network.state_dict()
        changed = {names[name] for name, x in after.items() if not torch.equal(x, before[name])}
        assert changed == set(learner.trainable.parameters) == {"w", "b"}

    @pytest.mark.parametrize("train", [False, True])
    def test_batch_norm(self, tmp_path, learners, train):
        """If trained, it uses the batch statistics and updates its own: 0.9 old, 0.1 new."""
        path = ConvNet(activation="batch-norm").save(tmp_path / "m.onnx")
        learner = learners(path, replace(PLAIN, batch_norm=train))
        seen = []
        norm = learner.twin.network.get_submodule("BatchNormalization_0")
        norm.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        learner.step([shard_of(noise(4, (12, 10)), [0, 1, 2, 3], eps=8)], 0.0)
        learner.scores([shard_of(noise(4, (12, 10), seed=1), [0, 1, 2, 3])])
        assert learner.trainable.has_statistics == train
        if train:
            batch = seen[1].detach()  # the first pass is for the attack
            found = learner.trainable.weights()
            np.testing.assert_allclose(found["mean"], 0.1 * batch.mean((0, 2, 3)), atol=1e-5)
            variance = 0.9 + 0.1 * batch.var((0, 2, 3))
            np.testing.assert_allclose(found["variance"], variance, rtol=1e-5)

    def test_half_precision_is_near(self, tmp_path, learners):
        path = ConvNet().save(tmp_path / "m.onnx")
        shard = shard_of(noise(4, (12, 10)), [0, 1, 2, 3])
        exact = learners(path, PLAIN).scores([shard])
        half = learners(path, PLAIN, precision="bf16")
        assert half.scores([shard]).loss == pytest.approx(exact.loss, rel=0.05)
        half.step([shard], 0.1)
        assert {w.dtype for w in half.trainable.weights().values()} == {np.dtype(np.float32)}


class TestCheckpoint:
    @pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
    def test_going_on_is_as_if_nothing_had_happened(self, tmp_path, learners, optimizer):
        """Two steps, a checkpoint and one step give bit-identical weights to three steps."""
        path = ConvNet(activation="batch-norm").save(tmp_path / "m.onnx")
        parameters = replace(PLAIN, optimizer=optimizer, momentum=0.9, batch_norm=True)
        shards = [shard_of(noise(4, (12, 10), seed), [0, 1, 2, 3], 4.0) for seed in range(3)]
        whole = learners(path, parameters)
        for shard in shards:
            whole.step([shard], 0.01)
        first = learners(path, parameters)
        for shard in shards[:2]:
            first.step([shard], 0.01)
        best = {name: tensor.clone() for name, tensor in first.trainable.tensors().items()}
        state = State(1, 2, Score(3.5, 2, 8), [{"epoch": 0, "loss": 0.1}], best)
        place = tmp_path / "c.safetensors"
        save_checkpoint(place, "run", state, first.trainable, first.optimizer)
        second = learners(path, parameters)
        found = load_checkpoint(place, "run", second.trainable, second.optimizer)
        assert found is not None
        assert (found.epoch, found.batch, found.score) == (1, 2, Score(3.5, 2, 8))
        assert found.history == state.history
        for name, tensor in first.trainable.tensors().items():
            assert torch.equal(found.best[name], tensor)
        second.step([shards[2]], 0.01)
        for name, value in whole.trainable.weights().items():
            np.testing.assert_array_equal(second.trainable.weights()[name], value)

    def test_of_another_run(self, tmp_path, learners):
        learner = learners(ConvNet().save(tmp_path / "m.onnx"), PLAIN)
        place = tmp_path / "c.safetensors"
        assert load_checkpoint(place, "run", learner.trainable, learner.optimizer) is None
        save_checkpoint(place, "run", State(), learner.trainable, learner.optimizer)
        assert load_checkpoint(place, "other", learner.trainable, learner.optimizer) is None

    @pytest.mark.parametrize("content", [b"", b"no checkpoint", b"\x80\x04."])
    def test_damaged(self, tmp_path, learners, content):
        learner = learners(ConvNet().save(tmp_path / "m.onnx"), PLAIN)
        place = tmp_path / "c.safetensors"
        place.write_bytes(content)
        with refused(f"{place}: is a damaged checkpoint; remove it to start again"):
            load_checkpoint(place, "run", learner.trainable, learner.optimizer)
