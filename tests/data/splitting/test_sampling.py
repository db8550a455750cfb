"""A few images that stand for all classes."""

import numpy as np

from fishcnn.data.splitting.sampling import stratified_sample


def test_every_class_has_one_image_before_any_has_two() -> None:
    labels = np.repeat([0, 1, 2, 3], [1, 20, 3, 40])
    sample = stratified_sample(labels, size=9, seed=0)
    drawn = labels[sample]
    assert len(set(sample)) == 9
    # Four classes once, three twice, and two of those that have a third.
    assert sorted(drawn[:4]) == [0, 1, 2, 3]
    assert sorted(drawn[4:7]) == [1, 2, 3]
    assert len(set(drawn[7:])) == 2
    assert all(type(position) is int for position in sample)


def test_the_seed_draws_other_images_and_classes_in_another_order() -> None:
    labels = np.repeat(np.arange(10), 10)
    samples = [stratified_sample(labels, size=5, seed=seed) for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]
    assert labels[samples[0]].tolist() != labels[samples[2]].tolist()


def test_of_fewer_images_all_are_taken() -> None:
    assert sorted(stratified_sample(np.array([0, 0, 1]), size=8, seed=3)) == [0, 1, 2]
