"""What is chosen by name: a network, an optimizer, a schedule."""

from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from typing import Any, Generic, TypeVar

from torch import nn

from fishcnn.utils.errors import ArgumentError

Built = TypeVar("Built")
Kind = TypeVar("Kind", bound=type)
# A name, or a mapping with ``name`` and the settings that differ from their defaults.
Config = str | Mapping[str, Any]


class Registry(Generic[Built]):
    """Classes or functions by name, each with settings that have a default.

    Args:
        argument: what the choice is called where it is made, for errors: ``model``.
    """

    def __init__(self, argument: str) -> None:
        self.argument = argument
        self._choices: dict[str, tuple[Callable[..., Built], dict[str, Any]]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def add(self, name: str, build: Callable[..., Built], **settings: Any) -> None:
        """Add a choice and the defaults of its settings."""
        self._choices[name] = build, settings

    def register(self, name: str, **defaults: Any) -> Callable[[Kind], Kind]:
        """Decorate a class whose settings are the arguments that have a default, there or here."""

        def add(kind: Kind) -> Kind:
            parameters = signature(kind).parameters.values()
            own = {p.name: p.default for p in parameters if p.default is not p.empty}
            self.add(name, kind, **defaults | own)
            return kind

        return add

    def complete(self, config: Config) -> dict[str, Any]:
        """The name and every setting, by its default where the configuration leaves it out.

        Raises:
            ArgumentError: the name is unknown.
        """
        given = {"name": config} if isinstance(config, str) else config
        name = given.get("name")
        if not isinstance(name, str) or name not in self._choices:
            raise ArgumentError(self.argument, name, f"choose one of {', '.join(self)}")
        return {"name": name, **self._choices[name][1], **given}

    def kind(self, name: str) -> Callable[..., Built]:
        """The class or function of a choice."""
        return self._choices[name][0]

    def build(self, config: Config, *args: Any, **more: Any) -> Built:
        """Build a choice from its settings and from what all choices of this registry take.

        Raises:
            ArgumentError: the name is unknown, or the choice does not take one of the settings.
        """
        settings = self.complete(config)
        name = settings.pop("name")
        try:
            return self._choices[name][0](*args, **more, **settings)
        except NotImplementedError:  # of torch, where values are needed and there are none
            raise
        except (TypeError, ValueError, RuntimeError, LookupError, ArithmeticError) as error:
            raise ArgumentError(self.argument, name, str(error)) from error


NETWORKS: Registry[nn.Module] = Registry("model")
