"""The fit itself, which all processes of a training take part in."""

import hashlib
import logging
import platform
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb

import pytorch_lightning as pl
from omegaconf import DictConfig

from fishcnn.commands.build import build_classifier, build_datamodule, prepare_images
from fishcnn.commands.train.build_trainer import Callbacks, build_trainer
from fishcnn.commands.train.processes import Others, Task
from fishcnn.data.datamodule import FishDataModule
from fishcnn.models.classifier import FishClassifier
from fishcnn.training.checkpoint_writer import CheckpointWriter
from fishcnn.training.probe import fill_head
from fishcnn.utils import stopping
from fishcnn.utils.errors import FishError, causes
from fishcnn.utils.files import unwritable
from fishcnn.utils.run_folder import RunFolder


def fit_along(task: Task) -> None:
    """Take part in a fit as one of its further processes, which write nothing.

    Raises:
        FishError: this machine has other images than that of the first process.
    """
    quiet_lightning()
    config = task.config
    config.logger.name, config.callbacks.progress.enabled = "none", False
    datamodule = build_datamodule(config)
    prepare_images(datamodule)
    if digest_of_images(datamodule) != task.images:
        raise FishError(
            f"data: {datamodule.images.index.root} on {platform.node()} has other images than on "
            "the machine of the first process: copy them, or put them on a disk that both can reach"
        )
    seed_fit(config)
    callbacks = Callbacks(config, "", RunFolder(task.folder), task.resumed)
    nowhere = task.folder
    classifier, trainer = build_fit(
        config,
        datamodule,
        callbacks,
        task.resumed,
        task.finishing,
        nowhere,
        CheckpointWriter(),
    )
    if task.resumed is None and config.probe:
        fill_head(classifier, datamodule, trainer.strategy.root_device)
    trainer.fit(classifier, datamodule=datamodule, ckpt_path=task.resumed, weights_only=True)


def seed_fit(config: DictConfig) -> None:
    """Begin with the same random numbers in all processes.

    Not earlier: drawing and decoding have used random numbers or not, as the cache stood.
    """
    pl.seed_everything(config.seed, workers=True, verbose=False)


def build_fit(
    config: DictConfig,
    datamodule: FishDataModule,
    callbacks: Callbacks,
    resumed: Path | None,
    last_epoch: int | None,
    events: Path,
    writer: CheckpointWriter,
) -> tuple[FishClassifier, pl.Trainer]:
    """Build what is fitted; ``last_epoch`` is that of a fit that has nothing left to train."""
    classifier = build_classifier(config, datamodule, fetch=resumed is None)
    if config.trainer.compile:
        # In place, so that checkpoints keep the names of their weights.
        classifier.network.compile()
    trainer = build_trainer(config, callbacks.all, events, writer)
    if trainer.world_size > 1:
        classifier.lay_out()  # before the processes agree on how gradients lie
    if config.trainer.scale_lr:
        classifier.lr_factor = trainer.world_size
    if last_epoch is not None:
        trainer.fit_loop.max_epochs = last_epoch
    return classifier, trainer


def digest_of_images(datamodule: FishDataModule) -> str:
    """What the images and their split come to, the same on every machine that has the same."""
    split = datamodule.split
    what = (
        *(path.encode("utf-8", "surrogateescape") for path in datamodule.images.paths.posix),
        *(part.tobytes() for part in (split.train, split.val, split.test)),
        datamodule.images.labels.tobytes(),
    )
    return hashlib.blake2b(b"\0".join(what), digest_size=16).hexdigest()


@contextmanager
def whole_fit(run: RunFolder, others: Others) -> Iterator[None]:
    """Say which process has died where the others cannot reach it, and explain a full disk.

    TensorBoard writes in a thread, which hands its error on; printing it there as well is too much.
    """
    print_error, threading.excepthook = threading.excepthook, _print_unless_of_disk
    try:
        yield
    except BaseException as error:
        # What torch says of an exchange with one that has died.
        from_torch = isinstance(error, RuntimeError) and not stopping.stopped_by()
        if died := others.failure() if from_torch else None:
            raise FishError(died) from error
        told = next((cause for cause in causes(error) if isinstance(cause, FishError)), None)
        names = [f.f_globals.get("__name__", "") for f, _ in walk_tb(error.__traceback__)]
        if isinstance(error, OSError) and any("tensorboard" in name for name in names):
            raise told or unwritable(run.path / "events.out.tfevents", error) from error
        raise
    finally:
        threading.excepthook = print_error


def _print_unless_of_disk(arguments: threading.ExceptHookArgs) -> None:
    if not issubclass(arguments.exc_type, OSError):
        threading.__excepthook__(arguments)


def quiet_lightning() -> None:
    """Keep Lightning's hints to itself: the summary says what matters here."""
    for logger in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    for hint in (
        # Batches are gathered from memory; worker processes would only copy them.
        "does not have many workers",
        # Lightning 2.6 meets a newer torch.
        "isinstance.treespec, LeafSpec",
        # A fit that is continued in another folder takes its best checkpoint along by itself.
        "The dirpath has changed",
        "Checkpoint directory .* exists and is not empty",
        # What is logged at the end of an epoch comes from counts that are synchronised already.
        "It is recommended to use .*sync_dist=True",
        # What is frozen of a network is meant to be.
        r"Found .* module\(s\) in eval mode",
        # The first epochs of check_val_every_n_epoch have no validation loss yet.
        "could not find the monitored key",
    ):
        warnings.filterwarnings("ignore", f".*{hint}")
