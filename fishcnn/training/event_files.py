"""What TensorBoard has been told, cut back to where a checkpoint was written.

A run that is killed has often told it more than its checkpoint knows; going on, it would tell the
same steps again.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

_FILES = "events.out.tfevents.*"


def event_sizes(writer: SummaryWriter) -> dict[str, int]:
    """Bytes of each event file below the folder of a writer, with all that was added to it."""
    writer.flush()
    folder = Path(writer.log_dir)
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in _below(folder)}


def cut_back(folder: Path, sizes: Mapping[str, int]) -> None:
    """Cut the event files below a folder back to these sizes; remove those that have none.

    Args:
        folder: of the events.
        sizes: as :func:`event_sizes` has found them.
    """
    for file in _below(folder):
        size = sizes.get(file.relative_to(folder).as_posix())
        if size is None:
            file.unlink()
        elif file.stat().st_size > size:
            os.truncate(file, size)


def is_continued(writer: SummaryWriter) -> bool:
    """Whether an earlier start of the run has left events beside those of this writer."""
    return len(list(Path(writer.log_dir).glob(_FILES))) > 1


def _below(folder: Path) -> list[Path]:
    return sorted(folder.rglob(_FILES))
