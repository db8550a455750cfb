"""Near-duplicates of decoded images, kept beside them in the cache on disk."""

import logging
import os
from zipfile import BadZipFile

import numpy as np

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.duplicates.finder import FINDER_VERSION, Duplicates, find_duplicates

log = logging.getLogger(__name__)


def known_duplicates(images: ImageSet) -> Duplicates:
    """Find the near-duplicates, or read them from the cache where these images had them found."""
    file = images.arrays and images.arrays.with_suffix(f".duplicates{FINDER_VERSION}")
    if file and file.is_file():
        try:
            with file.open("rb") as kept, np.load(kept) as content:
                return Duplicates(content["pairs"], content["groups"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            log.warning("%s is damaged (%s): looking for near-duplicates again.", file, error)
    hashes = [digest.tobytes().hex() for digest in images.digests]
    duplicates = find_duplicates(images.fingerprints, images.pixels, images.aspect, hashes)
    if file:
        new = file.with_suffix(f".new{os.getpid()}")
        try:
            with new.open("wb") as stream:
                np.savez(stream, pairs=duplicates.pairs, groups=duplicates.groups)
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(file)
        except OSError as error:  # They are known for this run; only the next has to look again.
            log.warning("The near-duplicates cannot be kept in %s: %s", file, error)
            new.unlink(missing_ok=True)
    return duplicates
