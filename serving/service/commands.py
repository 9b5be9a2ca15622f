"""Commands of an operator: journalled before they are carried out, and after."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import ForemarginError, InputError
from .calculators import CalculatorHost
from .core import ServiceCore
from .records import COMMAND, Commanded

if TYPE_CHECKING:
    from .service import Service


class Bundles(Protocol):
    """What the service asks of the store of bundles; its methods may read files."""

    def active(self) -> object:
        """Return what is active."""
        ...

    def activate(self, folder: Path) -> object:
        """Make the bundle in a folder the active one."""
        ...

    def rollback(self) -> object:
        """Make the one before active again."""
        ...

    def shadow(self, folder: Path | None) -> object:
        """Compute another one beside it, or none."""
        ...


_ARGUMENTS = {
    "activate": {"folder"},
    "rollback": set[str](),
    "shadow": {"folder"},
    "pause": set[str](),
    "resume": set[str](),
}


class Commands:
    """Carries out one command at a time.

    ``pause`` lets no margin fall until ``resume``; calculations go on, and margins may rise.
    """

    def __init__(
        self,
        service: "Service",
        core: ServiceCore,
        calculator: CalculatorHost,
        bundles: Bundles | None,
    ) -> None:
        self._service, self._core = service, core
        self._calculator, self._bundles = calculator, bundles
        self._one = asyncio.Lock()

    def bundle(self) -> str:
        """Return what the store says is active, as text; empty without a store."""
        if self._bundles is None:
            return ""
        try:
            return str(self._bundles.active())
        except ForemarginError as error:
            return f"none: {error}"

    async def run(self, name: str, arguments: Mapping[str, Any], *, by: str) -> dict[str, Any]:
        """Carry out a command; InputError if it cannot be."""
        expected = _ARGUMENTS.get(name)
        if expected is None:
            raise InputError(f"a command must be one of {', '.join(_ARGUMENTS)}, was {name!r}")
        if set(arguments) != expected:
            raise InputError(
                f"{name} takes {', '.join(sorted(expected)) or 'no arguments'}, got "
                f"{', '.join(sorted(map(str, arguments))) or 'none'}"
            )
        async with self._one:
            await self._note(name, arguments, by, "asked", {})
            try:
                result = await self._carry_out(name, arguments)
            except ForemarginError as error:
                await self._note(name, arguments, by, "refused", {"reason": str(error)})
                raise
            await self._note(name, arguments, by, "done", result)
            return result

    async def _note(
        self, name: str, arguments: Mapping[str, Any], by: str, stage: str, result: dict[str, Any]
    ) -> None:
        what = Commanded(name=name, arguments=dict(arguments), stage=stage, result=result)
        await self._service.note(COMMAND, what, by=by)

    async def _carry_out(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if name in ("pause", "resume"):
            self._core.pause(name == "pause")
            return {"paused": self._core.paused}
        store = self._bundles
        if store is None:
            raise InputError(f"{name} needs a store of bundles, this service was given none")
        loop = asyncio.get_running_loop()
        if name == "rollback":
            await loop.run_in_executor(None, store.rollback)
        elif name == "activate":
            await loop.run_in_executor(None, store.activate, _folder(arguments["folder"]))
        else:
            folder = arguments["folder"]
            chosen = None if folder is None else _folder(folder)
            await loop.run_in_executor(None, store.shadow, chosen)
        await self._calculator.reload()
        return {"bundle": self.bundle()}


def _folder(value: object) -> Path:
    if not isinstance(value, str) or not value:
        raise InputError(f"folder must be a path as text, was {value!r}")
    return Path(value)
