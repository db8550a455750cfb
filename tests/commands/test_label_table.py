"""What a person has corrected is not taken away."""

import json
from pathlib import Path

import pytest

from fishcnn.commands.label_table import LabelTable
from fishcnn.utils.errors import FishError


@pytest.mark.parametrize("given_back", [False, True])
def test_a_table_that_is_edited_during_an_inspection_stays(
    tmp_path: Path, given_back: bool
) -> None:
    file = tmp_path / "labels.csv"
    (tmp_path / "report.json").write_text(json.dumps({}))
    if given_back:
        file.write_text("path,class\n")
    table = LabelTable(tmp_path, str(file) if given_back else None)
    table.check_replaceable()
    file.write_text("path,class\nKoi/1.jpg,drop\n")
    with pytest.raises(FishError, match="has been changed during the inspection, and stays"):
        table.check_replaceable()
