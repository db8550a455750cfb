"""The LightningModule: loss, metrics, optimizer, schedule. Nothing is drawn here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics.classification import MulticlassConfusionMatrix

from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.datasets import Batch
from fishcnn.data.decoding.resize import RESIZES, SQUASH, Square
from fishcnn.data.split_batches import within_epoch
from fishcnn.models.checkpoint import fitting, verified_checkpoint
from fishcnn.models.choices import complete_choices
from fishcnn.models.image_classifier import ImageClassifier
from fishcnn.models.networks import build_network
from fishcnn.models.optimization import (
    OPTIMIZERS,
    SCHEDULERS,
    check_optimizer,
    check_scheduler,
)
from fishcnn.models.pretrained.backbone import Backbone
from fishcnn.models.registry import NETWORKS, Config
from fishcnn.models.scores import MONITOR, SCORES, build_scores, counts_of, take_counts
from fishcnn.utils.checks import choice
from fishcnn.utils.errors import ArgumentError

# Of a checkpoint within an epoch: the training scores so far.
_WITHIN = "train_scores"


class FishClassifier(ImageClassifier):
    """A network with all that is needed to train it and to use it afterwards.

    Every argument is a plain number, string, list or mapping and goes into the checkpoint, so that
    ``FishClassifier.load_from_checkpoint(path)`` needs nothing else.

    Args:
        classes: class names in the order of the logits.
        image_size: side in pixels of what the network sees.
        working_size: side in pixels to which images are decoded before that.
        resize: how images of any shape become squares; see
            :class:`~fishcnn.data.decoding.resize.Square`.
        mean: RGB mean that is subtracted, for images in [0, 1].
        std: RGB standard deviation that is divided by.
        model: name of a network, or a mapping of ``name`` and the settings of
            :mod:`fishcnn.models.networks` that differ from their defaults.
        optimizer: likewise, see :mod:`fishcnn.models.optimization`.
        scheduler: likewise.
        label_smoothing: share of the target spread over all classes (Szegedy et al. 2015).
        class_weights: what a training image of each class counts, or None for all alike.

    Raises:
        ArgumentError: a setting is unknown or out of range.

    Attributes:
        confusion: int64 ``(K, K)``, rows are true classes; of the latest validation.
        lr_factor: what the learning rate of the optimizer is multiplied by when a fit starts.
    """

    class_weights: Tensor | None
    confusion: Tensor
    lr_factor: float = 1.0

    def __init__(
        self,
        *,
        classes: Sequence[str],
        image_size: int,
        working_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        model: Config = "cnn",
        optimizer: Config = "adam",
        scheduler: Config = "plateau",
        resize: str = SQUASH,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        # Under their own names, as what Lightning keeps in checkpoints are these variables.
        classes = list(classes)
        model = NETWORKS.complete(model)
        optimizer = OPTIMIZERS.complete(optimizer)
        scheduler = SCHEDULERS.complete(scheduler)
        if problem := choice(*RESIZES)(resize):
            raise ArgumentError("resize", resize, problem)
        check_optimizer(optimizer)  # torch is asked for it only when a fit starts
        check_scheduler(scheduler, lr=optimizer["lr"])
        self.save_hyperparameters()
        self.classes = classes
        self.image_size = image_size
        self.working_size = working_size
        self.square = Square(working_size, resize)
        self.label_smoothing = label_smoothing
        count = len(classes)
        self.confusion = torch.zeros(count, count, dtype=torch.int64)
        self.network = build_network(model, num_classes=count, image_size=image_size)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))
        self.register_buffer("temperature", torch.tensor(1.0))
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)
        # The whole epoch is counted on the device and read once.
        self.train_scores = build_scores("train", count)
        self.val_scores = build_scores("val", count)
        # The epoch whose training scores Lightning knows of.
        self._announced: int | None = None
        self.val_confusion = MulticlassConfusionMatrix(count, validate_args=False)

    @classmethod
    def for_data(
        cls,
        datamodule: FishDataModule,
        *,
        model: Config = "cnn",
        optimizer: Config = "adam",
        scheduler: Config = "plateau",
        label_smoothing: float = 0.0,
        fetch: bool = True,
        **settings: Any,
    ) -> Self:
        """Build an untrained classifier for the classes and the image size of a datamodule.

        ``FishClassifier.for_data(datamodule, blocks=3, lr=1e-3)`` has the project's own network,
        ``model="torchvision", architecture="resnet50", pretrained=True`` one of torchvision's.

        Args:
            datamodule: its images are scanned and decoded now, if they have not been yet.
            model: as the constructor takes it.
            optimizer: likewise.
            scheduler: likewise.
            label_smoothing: likewise.
            fetch: whether to fetch the weights that ``pretrained=True`` or ``weights=PATH`` asks
                for; a checkpoint that is loaded afterwards brings its own.
            settings: settings of the network, the optimizer or the schedule; their names differ.

        Raises:
            ArgumentError: a setting is unknown or out of range; raised before the data is read.
        """
        size = datamodule.image_size
        chosen = complete_choices(model, optimizer, scheduler, settings, image_size=size)
        datamodule.prepare_data()
        datamodule.setup()
        classifier = cls(
            classes=datamodule.classes,
            image_size=datamodule.image_size,
            working_size=datamodule.working_size,
            resize=datamodule.resize,
            mean=datamodule.mean,
            std=datamodule.std,
            label_smoothing=label_smoothing,
            class_weights=datamodule.class_weights,
            **chosen,
        )
        if fetch and isinstance(classifier.network, Backbone):
            classifier.network.load_pretrained()
        return classifier

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,  # noqa: ANN401 - as Lightning takes them
        map_location: Any = None,  # noqa: ANN401
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **settings: Any,
    ) -> Self:
        """Load a checkpoint as Lightning does, after its checksums have been compared.

        Raises:
            CheckpointError: the file is missing, damaged, or of another program or version.
        """
        path = checkpoint_path
        if isinstance(path, str | Path) and weights_only:
            verified_checkpoint(Path(path), finite=False)
        with fitting(path):
            return super().load_from_checkpoint(
                path, map_location, hparams_file, strict, weights_only, **settings
            )

    def on_fit_start(self) -> None:
        """Lay out the weights as the images are, and forget what was calibrated for others."""
        self._announced = None
        self.temperature.fill_(1.0)
        self.lay_out()

    def whole(self) -> "FishClassifier":
        """The classifier with all its weights, where a process has but a part of them.

        In a fit, all processes have to ask for it.
        """
        return self

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy of a batch; accuracy counts the class with the largest share."""
        logits = self(batch["image"])
        loss = F.cross_entropy(
            logits.float(),
            batch["target"],
            weight=self.class_weights,
            label_smoothing=self.label_smoothing,
        )
        self.train_scores.update(
            loss=loss.detach(),
            images=len(logits),
            preds=logits.detach(),
            target=batch["target"].argmax(1),
        )
        if (share := batch.get("share")) and share.rows > len(logits):
            # Of the gradients of all processes the mean is taken: so it is that of the whole batch.
            loss = loss * (len(logits) * self.trainer.world_size / share.rows)
        if self._announced != self.current_epoch:
            self._announced = self.current_epoch
            # Lightning computes them at the end of the epoch, for History. To be told so in every
            # step costs it a fifth of the time that the host of a GPU has.
            self.log_dict(
                self.train_scores, logger=False, on_step=False, on_epoch=True, prog_bar=True
            )
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Count a validation batch. The loss is plain cross-entropy, without smoothing.

        Returns:
            Logits ``(N, K)``, for callbacks that look at single images; None where this process has
            no image left.
        """
        if not len(batch["label"]):
            # Nothing is left for this process; those that have an image left may share its weights.
            self(torch.zeros(1, 3, self.image_size, self.image_size, device=self.device))
            return None
        logits: Tensor = self(batch["image"]).float()
        labels = batch["label"]
        loss = F.cross_entropy(logits, labels)
        self.val_scores.update(loss=loss, images=len(logits), preds=logits, target=labels)
        self.val_confusion.update(logits, labels)
        return logits

    def on_validation_epoch_start(self) -> None:
        """Measure the same network in all processes, as it is saved: its statistics too."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            for buffer in self.network.buffers():  # of batch norm
                torch.distributed.broadcast(buffer, src=0)

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores of the epoch, and keep its confusion matrix."""
        for score in SCORES:
            metric = self.val_scores[score.key]
            self.log(f"val_{score.key}", metric, logger=False, prog_bar=score.in_training)
        self.confusion = self.val_confusion.compute().cpu()
        self.val_confusion.reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the confusion matrix, for a run that is stopped after its last epoch.

        Within an epoch also the training scores of what was seen of it: metrics are no weights.
        """
        checkpoint["confusion"] = self.confusion
        if within_epoch(self.trainer):
            checkpoint[_WITHIN] = counts_of(self.train_scores, self.trainer.strategy.reduce)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take these back; older checkpoints have none."""
        self.confusion = checkpoint.get("confusion", self.confusion)
        if _WITHIN in checkpoint and self.trainer.is_global_zero:  # they are those of all processes
            take_counts(self.train_scores, checkpoint[_WITHIN])

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's type has nine forms
        """Build the optimizer and schedule that the hyperparameters describe."""
        head = set(cast(Any, self.network).head.parameters())
        trained = [p for p in self.network.parameters() if p.requires_grad]
        # Lightning refuses to clip the gradients of a fused optimizer under autocast.
        fused = not self.trainer.gradient_clip_val  # all parameters in one kernel
        settings = self.hparams["optimizer"]
        settings = settings | {"lr": settings["lr"] * self.lr_factor}
        optimizer = OPTIMIZERS.build(settings, trained, head=head, fused=fused)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = SCHEDULERS.build(self.hparams["scheduler"], optimizer, steps)
        timing: dict[str, Any] = {"interval": "step"}
        if isinstance(schedule, ReduceLROnPlateau):
            # Between validations there is no new value to look at.
            every = self.trainer.check_val_every_n_epoch or 1
            timing = {"interval": "epoch", "frequency": every, "monitor": MONITOR}
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"name": "learning_rate", "scheduler": schedule, **timing},
        }
