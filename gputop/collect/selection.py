"""Which of a machine's devices a stream is about."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gputop.collect.backend import Answers
from gputop.model.frame import DeviceInfo, is_nameless


class NotFound(Struct, frozen=True):
    """Devices that were asked for and are not there, as far as can be told."""

    selectors: Sequence[str] = ()
    nameless: Sequence[DeviceInfo] = ()
    """Those that do not say who they are: one of them may be meant."""

    def __str__(self) -> str:
        """That, as a sentence without its end."""
        said = f"No device of this machine is called {', '.join(self.selectors)}"
        if not self.nameless:
            return said
        names = ", ".join(device.name for device in self.nameless)
        return f"{said}, but not every one says who it is ({names})"


class Selection:
    """Picks devices by index, UUID or the beginning of a UUID; an empty list picks all.

    An index is looked up once and then stands for the device it meant, since indices move. A
    device brings its MIG instances along, and a MIG instance its device.
    """

    def __init__(self, selectors: Sequence[str]) -> None:
        self._selectors = list(dict.fromkeys(selectors))
        self._meant: dict[str, str] = {}
        self._inventory: list[DeviceInfo] = []
        self._chosen: set[str] = set()

    def not_found(self, inventory: Sequence[DeviceInfo]) -> NotFound:
        """The selectors that mean no device, in the order they were given."""
        self._choose(inventory)
        unknown = [selector for selector in self._selectors if selector not in self._meant]
        by_index_only = all(selector.isdecimal() for selector in unknown)
        nameless = [] if by_index_only else [d for d in inventory if is_nameless(d.uuid)]
        return NotFound(unknown, nameless)

    def apply(self, answers: Answers) -> Answers:
        """The part of the answers that is about the chosen devices."""
        if not self._selectors:
            return answers
        self._choose(answers.inventory)
        chosen = self._chosen
        uses = {
            pid: kept
            for pid, all_uses in answers.uses.items()
            if (kept := [use for use in all_uses if (use.mig or use.device) in chosen])
        }
        return Answers(
            driver=answers.driver,
            inventory=[device for device in answers.inventory if device.uuid in chosen],
            readings=[reading for reading in answers.readings if reading.uuid in chosen],
            uses=uses,
            events=[e for e in answers.events if e.device is None or e.device in chosen],
            nvml_calls=answers.nvml_calls,
        )

    def _choose(self, inventory: Sequence[DeviceInfo]) -> None:
        if list(inventory) == self._inventory:
            return
        self._inventory = list(inventory)
        present = {device.uuid for device in inventory}
        for selector in self._selectors:
            if self._meant.get(selector) not in present:
                self._look_up(selector)
        meant = set(self._meant.values())
        parents = {d.parent for d in inventory if d.uuid in meant and d.parent}
        children = {d.uuid for d in inventory if d.parent in meant}
        self._chosen = meant | parents | children

    def _look_up(self, selector: str) -> None:
        for device in self._inventory:
            if selector.isdecimal():
                found = device.parent is None and device.index == int(selector)
            else:
                found = device.uuid.lower().startswith(selector.lower())
            if found:
                self._meant[selector] = device.uuid
                return
