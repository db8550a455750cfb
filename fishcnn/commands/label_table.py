"""The table that a person corrects labels in, which no later inspection may take away."""

import hashlib
import json
from pathlib import Path

from fishcnn.commands.label_report import LabelReport
from fishcnn.utils.errors import FishError
from fishcnn.utils.machine import user_path

# Of the table as it was written, in report.json.
DIGEST = "label_table"
_TABLE, NUMBERS = "labels.csv", "report.json"


class LabelTable:
    """``labels.csv`` in the folder of an inspection.

    Attributes:
        file: where it is.
    """

    def __init__(self, output: Path, given_back: str | None) -> None:
        """Look at the table of an earlier inspection.

        Args:
            output: the folder.
            given_back: the table whose corrections count now, and are in the next one as well.
        """
        self.file = output / _TABLE
        self._seen = self._content()
        self._is_given = bool(given_back) and (
            user_path(str(given_back)).resolve() == self.file.resolve()
        )

    def check_replaceable(self) -> None:
        """Raise a FishError where a new table would take away what a person has corrected.

        Called before an inspection, and again before its files are put in place.
        """
        if self._content() != self._seen:
            raise FishError(
                f"{self.file} has been changed during the inspection, and stays as it is; save it, "
                "and type the command again"
            )
        if self._seen is not None and not (self._is_given or self.replaceable()):
            raise FishError(
                f"{self.file} has been changed since an inspection wrote it: add "
                f"data.labels={self.file}, by which the new one has the corrections as well, or "
                "move it elsewhere, or choose another folder by output="
            )

    def replaceable(self) -> bool:
        """Whether the table is as an inspection has written it, and not in use."""
        try:
            numbers = json.loads((self.file.parent / NUMBERS).read_text(encoding="ascii"))
            written = numbers[DIGEST]
            content = self._content()
            return not self._is_given and content is not None and written == _digest(content)
        except (OSError, ValueError, LookupError, TypeError):
            return False

    def _content(self) -> bytes | None:
        """None without a table; nothing of one that cannot be read, which no inspection wrote."""
        try:
            return self.file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            return b""

    @staticmethod
    def digest(labels: LabelReport) -> str | None:
        """Of a table that holds nothing but what was found; None with corrections of a person."""
        return None if labels.corrected else _digest(labels.table())


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
