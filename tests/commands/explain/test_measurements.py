import torch

from fishcnn.commands.explain.measurements import _bars, doubt


def test_bars_are_marked_on_the_images_that_have_them() -> None:
    images = 0.3 + 0.4 * torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    images[1, :, -8:] = 0
    bars = _bars(images)
    assert bars.dtype == torch.bool
    assert not bars[0].any()
    assert bars[1, -8:].all()
    assert not bars[1, :-8].any()


def test_maps_of_a_network_that_hardly_beats_guessing_say_little() -> None:
    said = doubt(8, 20, 4, (0.29, 0.28))
    assert said is not None
    assert "right on 8 of 20 validation images, 40.0%" in said
    assert "not clearly above the 25.0% of guessing" in said


def test_maps_of_a_network_whose_confidence_needs_no_image_say_little() -> None:
    said = doubt(18, 20, 4, (0.93, 0.9))
    assert said is not None
    assert "93.0% on average, and 90.0% when all of the image is removed" in said


def test_maps_of_a_network_that_has_learnt_are_not_doubted() -> None:
    assert doubt(18, 20, 4, (0.93, 0.3)) is None
    assert doubt(7, 20, 55, (0.4, 0.05)) is None
    assert doubt(0, 7, 4, (0.3, 0.3)) is None, "too few images to say anything"
