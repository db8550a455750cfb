from itertools import zip_longest

import pytest

from fishcnn.data.evaluation_batches import EvaluationBatches


@pytest.mark.parametrize("images", [0, 1, 4, 7, 9, 16, 33])
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_processes_share_the_batches_of_one_without_adding_an_image(
    images: int, processes: int
) -> None:
    shared = [
        [*EvaluationBatches(images, 4, rank=rank, processes=processes)] for rank in range(processes)
    ]
    assert len({len(batches) for batches in shared}) == 1  # they exchange something at each
    in_turn = [batch for step in zip_longest(*shared) for batch in step if batch]
    assert in_turn == [*EvaluationBatches(images, 4)]
    assert [image for batch in in_turn for image in batch] == [*range(images)]
