"""What may be run: the functions that the allow-listed task modules offer.

Given imported modules; asked by the handlers for every task that is added, and by whoever looks up what there is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from kazoo_tasks.authoring import OFFER_ATTRIBUTE, Offer
from kazoo_tasks.model.errors import BadArguments, CannotStart, NoFunction, NoModule
from kazoo_tasks.wire.codec import encode, kept
from kazoo_tasks.wire.signature import Signature, read_signature
from kazoo_tasks.wire.validation import problem

#: They stay in memory for as long as the task does, and go over the wire with every word about it.
MAX_ARGUMENTS_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class Entry:
    """One function of the catalogue."""

    name: str
    doc: str
    offer: Offer
    signature: Signature

    def help(self) -> dict[str, Any]:
        """What a look-up tells of it, in the shape that Kazoo's crossbar expects."""
        parameters = self.signature.parameters
        return {
            "description": self.doc.partition("\n")[0],
            "doc": self.doc,
            "arity": self.signature.arity,
            "arguments": [{"name": p.name, "type": p.type, "required": p.required} for p in parameters],
            "expected_content": "none",
            "mandatory": [],
            "optional": [],
        }


class Catalogue:
    """The closed set of what a request may name; a name from outside is only ever looked up here."""

    def __init__(
        self,
        modules: Iterable[ModuleType],
        max_arguments_bytes: int = MAX_ARGUMENTS_BYTES,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        """Read what the modules offer; `versions` are those of their sources, by the last part of a module's path.

        Raises:
            CannotStart: A module offers nothing, two have one name, or a function cannot be called from outside.
        """
        self._max_arguments_bytes = max_arguments_bytes
        self._modules: dict[str, dict[str, Entry]] = {}
        self._versions = dict(versions or {})
        for module in modules:
            name = module.__name__.rpartition(".")[2]
            if name in self._modules:
                raise CannotStart(f"expected task modules to have different names, got two called {name!r}")
            self._modules[name] = _offered(module)

    @property
    def names(self) -> list[str]:
        """Every function as `module.function`."""
        return [f"{module}.{name}" for module, entries in self._modules.items() for name in entries]

    @property
    def versions(self) -> Mapping[str, str]:
        """Which source each module has, as a hash of it."""
        return self._versions

    def become(self, other: Catalogue) -> None:
        """Offer what another one does, from here on."""
        self._modules, self._versions = other._modules, other._versions

    def offer(self, module: str, function: str) -> Offer | None:
        """What the function of a stored task promises; `None` if it is gone."""
        entry = self._modules.get(module, {}).get(function)
        return entry.offer if entry else None

    def check_name(self, module: str, function: str) -> None:
        """Allow a function to be named.

        Raises:
            NoModule: There is no such module.
            NoFunction: The module has no such function.
        """
        if module not in self._modules:
            raise NoModule(f"no task module {module!r}", {"module": module})
        if function not in self._modules[module]:
            raise NoFunction(f"no function {module}:{function}", {"module": module, "function": function})

    def check(self, module: str, function: str, arguments: Sequence[object]) -> bytes:
        """Allow a task to be added; gives its arguments as they are kept, which is JSON text.

        Raises:
            NoModule: There is no such module.
            NoFunction: The module has no such function, or not one of this arity.
            BadArguments: The function takes others, or shorter ones; `detail` has the problems, by path.
        """
        entries = self._modules.get(module)
        if entries is None:
            raise NoModule(f"no task module {module!r}")
        entry = entries.get(function)
        if entry is None or not entry.signature.takes(len(arguments)):
            raise NoFunction(f"no function {module}:{function}/{len(arguments)}")
        if problems := entry.signature.problems(arguments):
            raise BadArguments(detail=dict(problems))
        return self._text(arguments)

    def _text(self, arguments: Sequence[object]) -> bytes:
        text, limit = encode(arguments), self._max_arguments_bytes
        if len(text) > limit:
            said = f"Arguments must not be more than {limit} bytes of JSON"
            raise BadArguments(
                detail=dict(problem("arguments", "maxBytes", said, target=limit, value=len(text)))
            )
        return kept(text)

    def help(self, module: str | None = None, function: str | None = None) -> dict[str, dict[str, Any]]:
        """The catalogue or a part of it, as `{module: {function: {…}}}`; empty if there is no such part."""
        chosen = {
            name: {key: entry.help() for key, entry in entries.items() if function in (None, key)}
            for name, entries in self._modules.items()
            if module in (None, name)
        }
        return {name: entries for name, entries in chosen.items() if entries}


def _offered(module: ModuleType) -> dict[str, Entry]:
    functions = inspect.getmembers(module, lambda member: hasattr(member, OFFER_ATTRIBUTE))
    if not functions:
        raise CannotStart(
            f"expected {module.__name__} to offer tasks, got none marked with @kazoo_tasks.task"
        )
    return {name: _entry(module, name, function) for name, function in functions}


def _entry(module: ModuleType, name: str, function: Callable[..., object]) -> Entry:
    if inspect.isasyncgenfunction(function):
        wanted = f"expected {module.__name__}.{name} to be a function, a coroutine function or a generator function"
        raise CannotStart(f"{wanted}, got an asynchronous generator function")
    try:
        signature = read_signature(function)
    except (CannotStart, NameError, TypeError, ValueError) as error:
        raise CannotStart(f"{module.__name__}.{name} cannot be offered: {error}") from error
    return Entry(name, inspect.getdoc(function) or "", getattr(function, OFFER_ATTRIBUTE), signature)
