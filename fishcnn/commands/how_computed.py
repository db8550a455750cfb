"""The settings that say where and how a run is computed and watched, not what is trained.

Hydra loads this before any job of a sweep, so nothing heavy may be imported here.
"""

from collections.abc import Iterable

# Devices and nodes are not among them: with more of these, batches are larger in all.
HOW_COMPUTED = (
    "callbacks.grad_cam",
    "callbacks.progress",
    "callbacks.train_batch",
    "data.cache",
    "data.cache_gb",
    "data.cache_root",
    "data.endpoint_url",
    "data.on_device",
    "data.workers",
    "hydra",
    "logger",
    "trainer.accelerator",
    "trainer.checkpoint_every_n_steps",
    "trainer.deterministic",
    "trainer.resume",
    "trainer.strategy",
)


def belongs(name: str, to: Iterable[str]) -> bool:
    """Whether a setting is one of these, or in a group of these."""
    return any(name == one or name.startswith(f"{one}.") for one in to)
