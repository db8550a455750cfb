"""How well the recipes of ``conf/experiment`` do on somebody's images, and how long they take."""

import json
import statistics
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from fishcnn.benchmark.process import run, scratch_folder
from fishcnn.commands.build import check_weights, compose_config
from fishcnn.commands.settings import CONF, plain
from fishcnn.commands.train.fit import quiet_lightning
from fishcnn.commands.train.train_settings import check_train
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import write_text
from fishcnn.utils.machine import user_path
from fishcnn.utils.run_folder import RunFolder

RESULTS = "results.json"
EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))


def check_recipes(config: DictConfig) -> None:
    """Find what would stop a recipe, before the first one is trained.

    Raises:
        FishError: there is no folder, a setting is at fault, or weights or a package are missing.
    """
    root = config.results.root
    if root is None:
        raise FishError("results.root is not set: add results.root=/path/to/images")
    if not user_path(root).is_dir():
        raise FishError(f"results.root={root}: is not a folder")
    quiet_lightning()
    for experiment in config.results.experiments:
        composed = compose_config(*_overrides(config, experiment, 0))
        check_train(composed)
        check_weights(composed)


def measure_recipes(
    config: DictConfig, machine: Mapping[str, Any], output: Path
) -> Iterator[dict[str, Any]]:
    """Train every recipe with every seed, each as ``scripts/train.py`` does, one after the other.

    Each has a cache of its own, so that its time has everything in it. ``results.json`` is written
    after each; runs that it has already are not made again, if they were made in the same way, and
    stay in it where they are not asked for.

    Args:
        config: of the benchmark.
        machine: on which it runs, with versions.
        output: folder of ``results.json``.

    Yields:
        A run, when it has finished or was found. ``accuracy`` is that of the last epoch on
        ``images`` validation images, ``seconds`` are from the settings to the numbers.

    Raises:
        FishError: ``results.json`` holds runs that were made in another way; or a recipe failed.
    """
    settings = plain(config.results)
    root = user_path(settings["root"]).absolute()
    made_with: dict[str, Any] = {"machine": dict(machine), "root": str(root)}
    made_with["overrides"] = settings["overrides"]
    runs = _earlier_runs(output / RESULTS, made_with)
    # Seed by seed, so that all recipes have some result early.
    for seed in settings["seeds"]:
        for experiment in settings["experiments"]:
            found = [one for one in runs if (one["experiment"], one["seed"]) == (experiment, seed)]
            if not found:
                runs += (found := [_train(config, experiment, seed)])
            result = {**made_with, "runs": runs, "recipes": summarise(runs)}
            write_text(output / RESULTS, json.dumps(result, indent=1) + "\n")
            yield found[0]


def summarise(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Gather the runs of each recipe.

    Returns:
        experiment: name of the recipe.
        accuracies: by seed.
        accuracy: their mean.
        interval: 95% interval of the mean (Wilson 1927) for as many images as there are for
            validation. All seeds share them, so that they count once: with other images of the
            kind, the mean would differ so much. How much seeds differ, the accuracies show.
        images: for validation.
        epochs: of one run.
        seconds: of one run, the median.
        dates: of the first and the last run.
    """
    recipes = []
    for experiment in dict.fromkeys(one["experiment"] for one in runs):
        own = [one for one in runs if one["experiment"] == experiment]
        mean, images = statistics.fmean(one["accuracy"] for one in own), own[0]["images"]
        dates = sorted(one["date"] for one in own)
        recipes.append(
            {
                "experiment": experiment,
                "accuracies": {str(one["seed"]): one["accuracy"] for one in own},
                "accuracy": mean,
                "interval": wilson_interval(round(mean * images), images),
                "images": images,
                "epochs": own[0]["epochs"],
                "seconds": statistics.median(one["seconds"] for one in own),
                "dates": [dates[0], dates[-1]],
            }
        )
    return recipes


def markdown(recipes: list[dict[str, Any]]) -> list[str]:
    """The lines of a table for a README."""
    seeds = list(dict.fromkeys(seed for recipe in recipes for seed in recipe["accuracies"]))
    header = ["recipe", *(f"seed {seed}" for seed in seeds), "mean", "95% interval"]
    rows = [[*header, "epochs", "seconds", "date"], ["---"] + ["---:"] * (len(header) + 2)]
    for recipe in recipes:
        low, high = recipe["interval"]
        accuracies = [recipe["accuracies"].get(seed) for seed in seeds]
        rows.append(
            [
                f"`experiment={recipe['experiment']}`",
                *("" if one is None else f"{one:.3f}" for one in accuracies),
                f"{recipe['accuracy']:.3f}",
                f"{low:.3f} to {high:.3f}",
                str(recipe["epochs"]),
                f"{recipe['seconds']:.0f}",
                recipe["dates"][-1][:10],
            ]
        )
    return [f"| {' | '.join(row)} |" for row in rows]


def _overrides(config: DictConfig, experiment: str, seed: int) -> list[str]:
    root = user_path(config.results.root).absolute()
    own = [f"experiment={experiment}", "data=folder", f"data.root={root}", f"seed={seed}"]
    return [*own, *config.results.overrides]


def _earlier_runs(file: Path, made_with: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs of a benchmark that was stopped, or of one with other recipes or seeds."""
    try:
        earlier = json.loads(file.read_text(encoding="utf-8"))
        runs = list(earlier["runs"])
        different = [name for name, value in made_with.items() if earlier[name] != value]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # there is none, or another program's: it is replaced
    if different:
        raise FishError(
            f"{file} holds runs with another {' and '.join(different)}: choose another folder by "
            "output=, or delete it"
        )
    return runs


def _train(config: DictConfig, experiment: str, seed: int) -> dict[str, Any]:
    with scratch_folder() as scratch:
        folder = RunFolder(scratch / "run")
        run(
            "-c",
            "from fishcnn.commands.cli import start; start('train')",
            *_overrides(config, experiment, seed),
            f"hydra.run.dir={folder.path}",
            threads=config.threads,
            folder=scratch,
            FISHCNN_CACHE=str(scratch / "cache"),
        )
        summary = json.loads(folder.summary.read_text(encoding="utf-8"))
    return {
        "experiment": experiment,
        "seed": seed,
        "accuracy": summary["last_val_acc"],
        "images": summary["val_pictures"],
        "epochs": summary["epochs"],
        "seconds": summary["seconds"],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
