"""What is chosen by name: a network, an optimizer, a schedule."""

from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter, signature
from typing import Any, Generic, TypeVar

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fishcnn.utils.errors import ArgumentError

Built = TypeVar("Built")
Choice = TypeVar("Choice", bound=Callable[..., Any])
# A name, or a mapping with ``name`` and the settings that differ from their defaults.
Config = str | Mapping[str, Any]


class Registry(Generic[Built]):
    """Classes or functions that register themselves under a name.

    Their settings are the keyword-only arguments that have a default; what else they take is handed
    over where they are built.

    Args:
        argument: the name of the choice itself, for errors: ``model``.
    """

    def __init__(self, argument: str) -> None:
        self.argument = argument
        self._choices: dict[str, Callable[..., Built]] = {}

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._choices)

    def __getitem__(self, name: str) -> Callable[..., Built]:
        """Raises an ArgumentError for an unknown name."""
        if name not in self._choices:
            raise ArgumentError(self.argument, name, f"choose one of {', '.join(self)}")
        return self._choices[name]

    def register(self, name: str) -> Callable[[Choice], Choice]:
        """Decorate what is to be found under a name."""

        def add(choice: Choice) -> Choice:
            self._choices[name] = choice
            return choice

        return add

    def settings(self, name: str) -> dict[str, Any]:
        """The settings of a choice and their defaults."""
        parameters = signature(self[name]).parameters.values()
        return {
            p.name: p.default
            for p in parameters
            if p.kind is Parameter.KEYWORD_ONLY and p.default is not Parameter.empty
        }

    def complete(self, config: Config) -> dict[str, Any]:
        """Add the defaults of the settings that a configuration leaves out.

        Raises:
            ArgumentError: the name is unknown.
        """
        given = {"name": config} if isinstance(config, str) else dict(config)
        return {"name": given["name"], **self.settings(given["name"]), **given}

    def build(self, config: Config, *args: Any, **more: Any) -> Built:
        """Build what a configuration describes.

        Args:
            config: the choice.
            args: what every choice of this registry takes besides its settings.
            more: likewise.

        Raises:
            ArgumentError: the name is unknown, or the choice does not take one of the settings.
        """
        settings = self.complete(config)
        name = settings.pop("name")
        try:
            return self[name](*args, **more, **settings)
        except (TypeError, ValueError) as error:
            raise ArgumentError(self.argument, name, str(error)) from error


NETWORKS: Registry[nn.Module] = Registry("model")
OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")
SCHEDULERS: Registry[LRScheduler] = Registry("scheduler")
