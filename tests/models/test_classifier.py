import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fitting import small_trainer
from PIL import Image
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.datasets import Batch
from fishcnn.data.decoding.resize import Square
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.optimization import OPTIMIZERS, SCHEDULERS
from fishcnn.models.registry import NETWORKS
from fishcnn.models.scores import VAL_SCORES, MacroF1, build_scores
from fishcnn.utils.errors import ArgumentError, FishError

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]

MODEL = {
    "name": "cnn",
    "blocks": 2,
    "base_channels": 4,
    "max_channels": 8,
    "head": "flatten",
    "hidden": 8,
    "dropout": 0.5,
}
PLATEAU = {"name": "plateau", "factor": 0.5, "patience": 0}


def classifier(datamodule: FishDataModule, **changes: Any) -> FishClassifier:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "model": MODEL,
        "optimizer": {"name": "adam", "lr": 1e-3, "weight_decay": 0.0},
        "scheduler": PLATEAU,
        "label_smoothing": 0.0,
        "class_weights": None,
        **changes,
    }
    return FishClassifier(
        classes=datamodule.classes,
        image_size=datamodule.image_size,
        working_size=datamodule.working_size,
        mean=datamodule.mean,
        std=datamodule.std,
        **settings,
    )


def trainer(folder: Path, callbacks: Sequence[pl.Callback] = (), **changes: Any) -> pl.Trainer:
    return small_trainer(folder, *callbacks, **{"max_epochs": 3, "logger": False, **changes})


def test_batch_norm_and_dropout_train_in_every_epoch_and_rest_in_validation(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    modes: dict[str, list[set[bool]]] = {"train": [], "val": []}

    class Spy(FishClassifier):
        def note(self, split: str) -> None:
            watched = (nn.BatchNorm2d, nn.Dropout)
            modes[split].append({m.training for m in self.modules() if isinstance(m, watched)})

        def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
            self.note("train")
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
            self.note("val")
            return super().validation_step(batch, batch_idx)

    spy = Spy(**dict(classifier(datamodule).hparams))
    trainer(tmp_path).fit(spy, datamodule=datamodule)
    assert modes["train"] == [{True}] * 9  # 3 epochs of 3 batches
    assert modes["val"] == [{False}] * 3


def test_a_checkpoint_is_whole_and_holds_nothing_but_plain_values(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    model = classifier(datamodule)
    fit = trainer(tmp_path, max_epochs=1)
    fit.fit(model, datamodule=datamodule)
    path = tmp_path / "model.ckpt"
    fit.save_checkpoint(path)

    def check(value: object) -> None:
        assert type(value) in (int, float, str, bool, list, dict, tuple, type(None)), type(value)
        if isinstance(value, dict):
            for key, inner in value.items():
                check(key)
                check(inner)
        if isinstance(value, list | tuple):
            for inner in value:
                check(inner)

    check(dict(torch.load(path, weights_only=True)["hyper_parameters"]))
    loaded = FishClassifier.load_from_checkpoint(path, weights_only=True)
    assert loaded.classes == datamodule.classes
    assert loaded.image_size == 16
    assert loaded.mean.flatten().tolist() == pytest.approx(datamodule.mean)
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name


def test_predict_needs_an_image_and_nothing_else(
    datamodule: FishDataModule, fish: Path, tmp_path: Path
) -> None:
    model = classifier(datamodule)
    model.train()
    position = 2
    path = fish / "pictures" / datamodule.images.paths[datamodule.split.val[position]]
    (prediction,) = model.predict(path)
    # The very numbers of validation.
    image = datamodule.batch("val", [position], torch.device("cpu"))["image"]
    expected = model.eval()(image).detach().softmax(1)[0]
    label = int(expected.argmax())
    assert prediction.label == datamodule.classes[label]
    assert prediction.probability == pytest.approx(float(expected[label]), abs=1e-5)
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert list(prediction.probabilities.values()) == sorted(
        prediction.probabilities.values(), reverse=True
    )
    with Image.open(path) as opened:
        from_memory, from_text = model.predict([opened, str(path)])
    assert from_text.label == from_memory.label == prediction.label
    assert from_text.probability == pytest.approx(prediction.probability, abs=1e-5)
    # JPEGs on disk are decoded at reduced scale.
    assert from_memory.probability == pytest.approx(prediction.probability, abs=0.01)


def test_predict_leaves_the_training_mode_as_it_was(datamodule: FishDataModule, fish: Path) -> None:
    model = classifier(datamodule)
    path = fish / "pictures" / datamodule.images.paths[0]
    for mode in (True, False):
        model.train(mode)
        model.predict(path)
        assert model.training is mode
        assert model.network.training is mode


class Still(FishClassifier):
    """Never changes, so that its validation loss stays exactly where it is."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.0
        return super().training_step(batch, batch_idx) * 0


class Rates(pl.Callback):
    """The learning rate of every iteration."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *rest: object) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.parametrize(
    ("every", "settings", "expected"),
    [
        # The first validation is the best so far; each further one halves.
        (1, {"factor": 0.5, "patience": 0}, [1, 1, 0.5, 0.25, 0.125, 0.0625]),
        (2, {"factor": 0.5, "patience": 0}, [1, 1, 1, 1, 0.5, 0.5]),
        # One validation without a lower loss is waited for.
        (1, {"factor": 0.1, "patience": 1}, [1, 1, 1, 0.1, 0.1, 0.01]),
        (1, {"factor": 0.1, "patience": 2}, [1, 1, 1, 1, 0.1, 0.1]),
    ],
)
def test_the_plateau_schedule_counts_validations_not_epochs(
    datamodule: FishDataModule,
    tmp_path: Path,
    every: int,
    settings: dict[str, float],
    expected: list[float],
) -> None:
    optimizer = {"name": "sgd", "lr": 1.0, "weight_decay": 0.0}
    scheduler = {"name": "plateau", **settings}
    model = Still(**dict(classifier(datamodule, optimizer=optimizer, scheduler=scheduler).hparams))
    rates = Rates()
    fit = trainer(tmp_path, max_epochs=6, check_val_every_n_epoch=every, callbacks=[rates])
    fit.fit(model, datamodule=datamodule)
    assert rates.seen[::3] == pytest.approx(expected)


def half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def one_cycle(pct_start: float) -> list[float]:
    """Smith's cycle over 9 steps: from a 25th of 0.1 up to it, and down to a 10,000th of that."""
    top = pct_start * 9 - 1
    return [
        half_cosine(0.004, 0.1, step / top)
        if step <= top
        else half_cosine(0.1, 4e-7, (step - top) / (8 - top))
        for step in range(9)
    ]


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ({"name": "none"}, [0.1] * 9),
        ({"name": "cosine"}, [half_cosine(0.1, 0.0, step / 9) for step in range(9)]),
        (
            {"name": "cosine", "eta_min": 0.04},
            [half_cosine(0.1, 0.04, step / 9) for step in range(9)],
        ),
        ({"name": "onecycle"}, one_cycle(0.2)),
        ({"name": "onecycle", "pct_start": 0.5}, one_cycle(0.5)),
        ({"name": "onecycle", "pct_start": 0.7}, one_cycle(0.7)),
    ],
)
def test_the_other_schedules_run_over_the_whole_fit(
    datamodule: FishDataModule, tmp_path: Path, scheduler: dict[str, Any], expected: list[float]
) -> None:
    optimizer = {"name": "adamw", "lr": 0.1, "weight_decay": 0.05}
    model = classifier(datamodule, scheduler=scheduler, optimizer=optimizer)
    rates = Rates()
    trainer(tmp_path, callbacks=[rates]).fit(model, datamodule=datamodule)
    assert rates.seen == pytest.approx(expected)


def test_each_validation_and_each_fit_counts_its_own_images(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    model = classifier(datamodule)
    counted: list[int] = []

    class Counts(pl.Callback):
        def on_validation_end(self, *_: object) -> None:
            counted.append(int(model.confusion.sum()))

    for _ in range(2):
        trainer(tmp_path, max_epochs=2, callbacks=[Counts()]).fit(model, datamodule=datamodule)
    trainer(tmp_path, callbacks=[Counts()]).validate(model, datamodule=datamodule, verbose=False)
    assert counted == [9] * 5


def test_a_checkpoint_keeps_how_images_are_resized_and_an_older_one_squashes(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    datamodule.resize = "crop"
    path = tmp_path / "model.ckpt"
    model = FishClassifier.for_data(datamodule, blocks=1)
    fit = trainer(tmp_path, max_epochs=0)
    fit.fit(model, datamodule=datamodule)
    fit.save_checkpoint(path)
    assert FishClassifier.load_from_checkpoint(path).square == Square(20, "crop")
    content = torch.load(path, weights_only=True)
    del content["hyper_parameters"]["resize"]
    torch.save(content, path)
    assert FishClassifier.load_from_checkpoint(path).square == Square(20, "squash")
    content["hyper_parameters"]["resize"] = "stretch"
    torch.save(content, path)
    with pytest.raises(FishError, match="choose one of squash, letterbox, crop"):
        FishClassifier.load_from_checkpoint(path)


def test_training_on_forgets_what_was_calibrated(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    model = classifier(datamodule)
    first = trainer(tmp_path, max_epochs=1)
    first.fit(model, datamodule=datamodule)
    model.temperature.fill_(2.5)
    path = tmp_path / "calibrated.ckpt"
    first.save_checkpoint(path)
    loaded = FishClassifier.load_from_checkpoint(path, weights_only=True)
    assert float(loaded.temperature) == 2.5
    images = torch.rand(2, 3, 16, 16)
    expected = (loaded.eval()(images) / 2.5).softmax(1)
    assert torch.allclose(loaded.probabilities(images), expected)
    second = trainer(tmp_path, max_epochs=2)
    second.fit(loaded.train(), datamodule=datamodule, ckpt_path=path, weights_only=True)
    assert second.global_step == 6
    assert float(loaded.temperature) == 1.0


def test_a_classifier_for_data_takes_every_setting_by_its_name(datamodule: FishDataModule) -> None:
    model = FishClassifier.for_data(
        datamodule,
        blocks=3,
        lr=0.1,
        momentum=0.5,
        optimizer="sgd",
        scheduler="cosine",
        eta_min=0.01,
    )
    assert model.hparams["model"] == NETWORKS.complete("cnn") | {"blocks": 3}
    expected = OPTIMIZERS.complete("sgd") | {"lr": 0.1, "momentum": 0.5}
    assert model.hparams["optimizer"] == expected
    assert model.hparams["scheduler"] == {"name": "cosine", "eta_min": 0.01}
    assert model.classes == datamodule.classes
    assert model(torch.rand(2, 3, 16, 16)).shape == (2, 3)
    defaults = FishClassifier.for_data(datamodule).hparams
    assert defaults["model"] == NETWORKS.complete("cnn")
    assert defaults["label_smoothing"] == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheduler": "step"}, "scheduler=step: choose one of plateau, cosine, onecycle, none"),
        ({"optimizer": "lion"}, "optimizer=lion: choose one of adam, adamw, sgd"),
        ({"model": "vit"}, "model=vit: choose one of cnn, timm, torchvision"),
        ({"optimizer": "sgd", "momentum": 0}, "optimizer=sgd: Nesterov"),
        ({"blocks": 5}, "blocks=5: an image of 16 pixels"),
        ({"momentum": 0.5}, "momentum=0.5: unknown; choose from blocks, "),
        ({"name": "cnn"}, "name=cnn: unknown"),
        ({"model": {"blocks": 3}}, "model=null: choose one of cnn, timm, torchvision"),
        ({"dropout": 2}, "dropout=2: must be a number from 0 to 1"),
    ],
)
def test_a_wrong_setting_is_named_before_the_data_is_read(
    datamodule: FishDataModule,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    message: str,
) -> None:
    def read(stage: str | None = None) -> None:
        raise AssertionError("the data was read")

    monkeypatch.setattr(datamodule, "setup", read)
    with pytest.raises(ArgumentError) as error:
        FishClassifier.for_data(datamodule, **settings)
    assert message in str(error.value)


def test_an_optimizer_that_torch_refuses_is_named_before_a_fit(datamodule: FishDataModule) -> None:
    with pytest.raises(ArgumentError, match=r"^optimizer=sgd: Nesterov"):
        classifier(datamodule, optimizer={"name": "sgd", "momentum": 0})


def test_no_setting_has_a_name_that_could_mean_two_things() -> None:
    for group in itertools.product(NETWORKS, OPTIMIZERS, SCHEDULERS):
        chosen = [
            setting
            for registry, choice in zip((NETWORKS, OPTIMIZERS, SCHEDULERS), group, strict=True)
            for setting in registry.complete(choice)
            if setting != "name"
        ]
        assert len(chosen) == len(set(chosen)), group


def test_label_smoothing_changes_the_training_loss_alone(
    datamodule: FishDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FishClassifier, "log", lambda *args, **kwargs: None)
    batch = datamodule.batch("train", [0, 1, 2, 3], torch.device("cpu"))
    losses = {}
    for smoothing in (0.0, 0.3):
        model = classifier(datamodule, label_smoothing=smoothing).eval()
        model.validation_step(batch, 0)
        with torch.no_grad():
            losses[smoothing] = (
                float(model.training_step(batch, 0)),
                float(model.val_scores["loss"].compute()),
            )
    with torch.no_grad():
        # Spreading 0.3 over three classes replaces 0.3 of the loss by the mean over all classes.
        uniform = float(-model(batch["image"]).log_softmax(1).mean())
    plain, smooth = losses[0.0], losses[0.3]
    assert plain[0] == pytest.approx(plain[1], abs=1e-6)
    assert smooth[0] == pytest.approx(0.7 * plain[0] + 0.3 * uniform, abs=1e-6)
    assert smooth[0] != plain[0]
    assert smooth[1] == plain[1]


def test_class_weights_change_the_training_loss_alone(
    datamodule: FishDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FishClassifier, "log", lambda *args, **kwargs: None)
    batch = datamodule.batch("train", [0, 1, 10, 20], torch.device("cpu"))
    losses = {}
    for weights in (None, [2.0, 0.5, 1.0]):
        model = classifier(datamodule, class_weights=weights).eval()
        model.validation_step(batch, 0)
        with torch.no_grad():
            training, validation = model.training_step(batch, 0), model.val_scores["loss"].compute()
        losses[bool(weights)] = (float(training), float(validation))
    with torch.no_grad():
        own = -model(batch["image"]).log_softmax(1).gather(1, batch["label"][:, None])[:, 0]
    expected = (own * torch.tensor([2.0, 0.5, 1.0])[batch["label"]]).mean()
    assert losses[True][0] == pytest.approx(float(expected), abs=1e-6)
    assert losses[True][0] != pytest.approx(losses[False][0], abs=1e-3)
    assert losses[True][1] == losses[False][1]


class TrainingScores(pl.Callback):
    """Counts every training batch by itself; what an epoch should log, and what it logs."""

    def __init__(self, *models: FishClassifier) -> None:
        self.expected: list[list[float]] = []
        self.logged: list[list[float]] = []
        for model in models:
            model.network.register_forward_hook(lambda _, _inputs, out: self.take(out.detach()))

    def take(self, logits: Tensor) -> None:
        self.logits = logits

    def on_train_epoch_start(self, *_: object) -> None:
        self.loss, self.hits, self.images = 0.0, 0, 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, _: int
    ) -> None:
        self.loss += float(outputs["loss"]) * len(batch["label"])
        self.hits += int((self.logits.argmax(1) == batch["label"]).sum())
        self.images += len(batch["label"])

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.expected.append([self.loss / self.images, self.hits / self.images])
        names = ("train_loss", "train_acc")
        self.logged.append([float(trainer.callback_metrics[name]) for name in names])


def test_training_scores_are_those_of_all_batches_of_their_epoch(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    model = classifier(datamodule)
    datamodule.batch_size = 8  # 8, 8, 8 and 3
    scores = TrainingScores(model)
    trainer(tmp_path, callbacks=[scores], check_val_every_n_epoch=5).fit(model, datamodule)
    assert len(scores.logged) == 3
    for logged, expected in zip(scores.logged, scores.expected, strict=True):
        assert logged == pytest.approx(expected, abs=1e-6)


@pytest.mark.filterwarnings("ignore:.*ended before the epoch ended")
@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint")
def test_a_fit_that_goes_on_in_the_middle_of_an_epoch_logs_its_training_scores(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    datamodule.batch_size = 8
    saving = ModelCheckpoint(tmp_path, "half", every_n_train_steps=2, save_top_k=-1)
    first, model = classifier(datamodule), classifier(datamodule)
    scores = TrainingScores(first, model)
    trainer(tmp_path, callbacks=[saving, scores], max_steps=2, enable_checkpointing=True).fit(
        first, datamodule
    )
    # The first epoch is that of both fits: Lightning does not begin it again.
    scores.expected, scores.logged = [], []
    trainer(tmp_path, callbacks=[scores]).fit(
        model, datamodule, ckpt_path=tmp_path / "half.ckpt", weights_only=True
    )
    assert len(scores.logged) == 3
    for logged, expected in zip(scores.logged, scores.expected, strict=True):
        assert logged == pytest.approx(expected, abs=1e-6)


def test_validation_metrics_are_those_of_the_whole_split(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    model = classifier(datamodule)
    validation = trainer(tmp_path)
    datamodule.batch_size = 4  # 4, 4 and 1: a mean of means would be another number
    validation.validate(model, datamodule=datamodule, verbose=False)
    scores = {name: float(value) for name, value in validation.callback_metrics.items()}
    positions = list(range(len(datamodule.datasets["val"])))
    batch = datamodule.batch("val", positions, torch.device("cpu"))
    logits = model.eval()(batch["image"]).detach()
    predicted, labels = logits.argmax(1), batch["label"]
    assert scores["val_acc"] == pytest.approx(float((predicted == labels).float().mean()))
    assert scores["val_loss"] == pytest.approx(
        float(nn.functional.cross_entropy(logits, labels)), abs=1e-5
    )
    assert scores["val_top3"] == 1.0
    f1 = []
    for k in range(3):
        hits = int(((predicted == k) & (labels == k)).sum())
        f1.append(2 * hits / int((predicted == k).sum() + (labels == k).sum()))
    assert scores["val_f1"] == pytest.approx(sum(f1) / 3, abs=1e-6)
    for k in range(3):
        for j in range(3):
            expected = int(((labels == k) & (predicted == j)).sum())
            assert int(model.confusion[k, j]) == expected


def test_a_class_without_validation_images_does_not_count_in_macro_f1() -> None:
    metric = MacroF1(4, validate_args=False)
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    predicted = torch.tensor([0, 0, 1, 1, 3, 0])
    metric.update(predicted, labels)
    # Of class 0, 2 hits with 3 images and 3 predictions; of class 1, 1 with 2 and 2; of class 2
    # none; class 3, which was only predicted, has no image.
    assert float(metric.compute()) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    metric.reset()
    metric.update(torch.tensor([3]), torch.tensor([3]))
    assert float(metric.compute()) == 1.0


@pytest.mark.parametrize(("classes", "expected"), [(2, 1.0), (5, 0.5)])
def test_top_3_counts_the_three_most_probable_classes(classes: int, expected: float) -> None:
    scores = build_scores("val", classes)
    logits = torch.tensor([[5.0, 4.0, 3.0, 2.0, 1.0]])[:, :classes].expand(2, -1)
    labels = torch.tensor([min(2, classes - 1), min(3, classes - 1)])
    scores.update(loss=torch.tensor(1.0), images=2, preds=logits, target=labels)
    found = scores.compute()
    assert set(found) == set(VAL_SCORES)
    assert float(found["val_top3"]) == expected
    assert float(found["val_acc"]) == 0.0
