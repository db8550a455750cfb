"""Which pairs of images were compared before, and what came out: a search goes on where it was."""

import logging
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.utils.arrays import DamagedFile, read_arrays, replace_arrays

log = logging.getLogger(__name__)

# Fewer are compared again in a second.
_FEW = 1000
# Of what was compared before a kill, the last so many seconds are lost.
_SAVE_SECONDS = 30.0


class ComparedPairs:
    """Pairs of rows of one cache, whose images never change, and whether they show the same.

    Args:
        file: where they are kept; it need not be there.
        rows: int64 (N,), the rows of N images.
    """

    def __init__(self, file: Path, rows: NDArray[np.int64]) -> None:
        self._file, self._rows = file, rows
        self._keys, self._same = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        self._new: list[tuple[NDArray[np.int64], NDArray[np.bool_]]] = []
        self._saved = time.monotonic()
        try:
            content = read_arrays(file)
            self._keys, self._same = content["keys"], content["same"]
        except FileNotFoundError:
            pass
        except (OSError, DamagedFile, KeyError) as error:
            log.warning("%s is damaged (%s): all pairs are compared again.", file, error)

    def known(self, pairs: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Tell which pairs (C, 2) were compared before, and which of these show the same."""
        keys = self._keys_of(pairs)
        place = np.searchsorted(self._keys, keys)
        known = place < len(self._keys)
        known[known] = self._keys[place[known]] == keys[known]
        same = np.zeros(len(pairs), np.bool_)
        same[known] = self._same[place[known]]
        return known, same

    def add(self, pairs: NDArray[np.int64], same: NDArray[np.bool_]) -> None:
        """Take note of pairs (C, 2) that were compared, none of them known."""
        self._new.append((self._keys_of(pairs), same))
        if time.monotonic() > self._saved + _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Keep them for later runs, if there are enough new ones."""
        if sum(len(keys) for keys, _ in self._new) < _FEW:
            return
        keys = np.concatenate([self._keys, *(keys for keys, _ in self._new)])
        same = np.concatenate([self._same, *(same for _, same in self._new)])
        order = np.argsort(keys)
        self._keys, self._same, self._new = keys[order], same[order], []
        try:
            replace_arrays(self._file, keys=self._keys, same=self._same)
        except OSError as error:
            log.warning("Compared pairs cannot be stored in %s for later: %s", self._file, error)
        self._saved = time.monotonic()

    def _keys_of(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        first, second = self._rows[pairs].T
        keys: NDArray[np.int64] = first << 32 | second
        return keys
