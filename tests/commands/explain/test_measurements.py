import torch

from fishcnn.commands.explain.measurements import _bars


def test_bars_are_marked_on_the_images_that_have_them() -> None:
    images = 0.3 + 0.4 * torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    images[1, :, -8:] = 0
    bars = _bars(images)
    assert bars.dtype == torch.bool
    assert not bars[0].any()
    assert bars[1, -8:].all()
    assert not bars[1, :-8].any()
