"""From a frame's processes to the rows of the table. Pure: nothing here draws.

A process is one row, whatever the number of its devices; unfolded it has a row a device (or MIG
instance) below it. What was not read is never counted as 0: a sum that lacks a part says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct

from gputop.actions.signals import Target
from gputop.model.frame import DeviceUse, Process
from gputop.query import Amount, Place
from gputop.query.subject import STATES, UNKNOWN
from gputop.state.process_history import ProcessKey, key_of
from gputop.text import NO_VALUE, clean, join_command, redact, short_name
from gputop.ui.view import DeviceView

MOST_COMMAND = 4000
"""Characters of a command line that the table can show; the process screen shows it all."""


class RowKey(NamedTuple):
    """What makes a row the same one: its process and, below it, a device."""

    process: ProcessKey
    part: str = ""
    """UUID of the device or MIG instance of an unfolded row, empty for the process itself."""


class Card(Struct, frozen=True):
    """What rows need to know of a device or MIG instance."""

    place: Place
    name: str
    memory_total_bytes: float | None


class RowOptions(Struct, frozen=True):
    """How rows are made."""

    uid: int | None = None
    """Whose processes are `mine`; None where nobody's are, as in a recording."""
    utc_s: float = 0.0
    """The frame's time, for how long processes have been running."""
    device: str | None = None
    """UUID of the only device to look at: others' processes and uses are left out."""
    hide_args: bool = False


class Row:
    """A row of the table; also what a filter is asked about (see `gputop.query.Subject`).

    Of hundreds of processes few are in view, so what a row says is worked out when it is asked.
    """

    __slots__ = ("_cards", "_options", "_uses", "key", "pid", "process")

    def __init__(
        self,
        process: Process,
        uses: Sequence[DeviceUse],
        cards: Mapping[str, Card],
        options: RowOptions,
        part: str = "",
    ) -> None:
        """The row of a process, or with `part`, a device's UUID, one of its unfolded rows."""
        self.key = RowKey(key_of(process), part)
        self.process = process
        self.pid = process.pid
        self._uses, self._cards, self._options = uses, cards, options

    @property
    def name(self) -> str | None:
        """The program's name, safe to show."""
        return clean(self.process.name) if self.process.name else None

    @property
    def user(self) -> str | None:
        """Its owner, safe to show."""
        return clean(self.process.user) if self.process.user else None

    @property
    def state(self) -> str | None:
        """The kernel's letter."""
        return state_letter(self.process.state) if self.process.state else None

    @property
    def mine(self) -> bool | None:
        """Whether it is the user's own; None where that is not known."""
        uid, own = self.process.uid, self._options.uid
        return None if uid is None or own is None else uid == own

    @property
    def _command(self) -> tuple[str, ...]:
        """What may be shown of the command line, word by word."""
        return () if self._options.hide_args else tuple(self.process.command or ())

    @property
    def command_line(self) -> str | None:
        """With its arguments; None where they are not known or not to be shown."""
        return _whole_command(self._command) if self._command else None

    @property
    def command(self) -> str:
        """What the table shows."""
        return _command(self.process, self._command, self.name)

    @property
    def cpu(self) -> Amount:
        """Of one core, 0 to the number of cores."""
        return Amount(self.process.cpu_utilization)

    @property
    def host_memory(self) -> Amount:
        """Resident bytes."""
        return Amount(self.process.memory_bytes)

    @property
    def threads(self) -> Amount:
        """How many it has."""
        return Amount(self.process.threads)

    @property
    def running_s(self) -> Amount:
        """Seconds since it was started."""
        return _running(self.process, self._options.utc_s)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where it is."""
        return tuple(_place(use, self._cards) for use in self._uses)

    @property
    def gpu(self) -> str:
        """The devices in short, such as ``0-3,7:1``."""
        return compact_places(self.places)

    @property
    def kinds(self) -> str:
        """C compute, G graphics, M client of the MPS server."""
        return "".join(kind for kind in "CGM" if any(kind in use.kinds for use in self._uses))

    @property
    def memory(self) -> Amount:
        """Bytes on all its devices."""
        return total(use.memory_bytes for use in self._uses)

    @property
    def memory_share(self) -> Amount:
        """Of the memory of all its devices, 0 to 1."""
        return _share(self.memory, self._uses, self._cards)

    @property
    def sm(self) -> Amount:
        """SM utilisation, 1 for a whole device."""
        return total(use.sm_utilization for use in self._uses)

    @property
    def memory_controller(self) -> Amount:
        """Utilisation of the memory controllers, 1 for a whole device."""
        return total(use.memory_utilization for use in self._uses)

    @property
    def encoder(self) -> Amount:
        """Utilisation of the encoders, 1 for a whole device."""
        return total(use.encoder_utilization for use in self._uses)

    @property
    def decoder(self) -> Amount:
        """Utilisation of the decoders, 1 for a whole device."""
        return total(use.decoder_utilization for use in self._uses)

    @property
    def is_part(self) -> bool:
        """True for a row of one device, below its process's row."""
        return bool(self.key.part)

    @property
    def unfolds(self) -> bool:
        """True for a process on more than one device."""
        return len(self._uses) > 1 and not self.is_part

    def parts(self) -> list[Row]:
        """A row a device, in the order of their indices."""
        return [
            Row(self.process, [use], self._cards, self._options, use.mig or use.device)
            for use in self._uses
        ]

    @property
    def device_name(self) -> str:
        """The name of the (first) device."""
        card = self._cards.get(self._uses[0].mig or self._uses[0].device)
        return card.name if card else clean(self._uses[0].device)


def target_of(process: Process) -> Target:
    """The process as a signal's target."""
    return Target(process.pid, process.start_ticks, process.name or "", process.user)


def cards_of(devices: Sequence[DeviceView]) -> dict[str, Card]:
    """The devices and MIG instances of a host, by UUID."""
    cards = {}
    for device in devices:
        index, uuid = device.info.index, device.info.uuid
        cards[uuid] = _card(device, Place(index, uuid))
        for instance in device.instances:
            place = Place(index, uuid, instance.info.index, instance.info.uuid)
            cards[instance.info.uuid] = _card(instance, place)
    return cards


def _card(device: DeviceView, place: Place) -> Card:
    return Card(place, short_name(device.info.name), device.number("memory_total_bytes"))


def build_rows(
    processes: Sequence[Process], cards: Mapping[str, Card], options: RowOptions
) -> list[Row]:
    """A row a process, in the order of pids."""
    rows = []
    for process in sorted(processes, key=attrgetter("pid")):
        uses = [u for u in process.uses if options.device in (None, u.device, u.mig)]
        if uses:
            if len(uses) > 1:
                uses.sort(key=lambda use: _order(_place(use, cards)))
            rows.append(Row(process, uses, cards, options))
    return rows


def _place(use: DeviceUse, cards: Mapping[str, Card]) -> Place:
    card = cards.get(use.mig or use.device) or cards.get(use.device)
    return card.place if card else Place(None, use.device, None, use.mig)


def _order(place: Place) -> tuple[float, float, str]:
    """By index; a device without one stands last."""
    return (
        math.inf if place.index is None else place.index,
        -1 if place.instance is None else place.instance,
        place.uuid,
    )


def compact_places(places: Sequence[Place]) -> str:
    """The indices in short: ``0-3``, ``0,2``, and ``7:1`` for instance 1 of device 7."""
    whole = sorted({p.index for p in places if p.index is not None and p.instance_uuid is None})
    words = []
    while whole:
        run = 1
        while run < len(whole) and whole[run] == whole[0] + run:
            run += 1
        last = whole[run - 1]
        words.append(f"{whole[0]}" if run == 1 else f"{whole[0]}{',' if run == 2 else '-'}{last}")
        del whole[:run]
    words += [
        f"{_or_question(p.index)}:{_or_question(p.instance)}" for p in places if p.instance_uuid
    ]
    words += ["?" for p in places if p.index is None and p.instance_uuid is None]
    return ",".join(words)


def _or_question(number: int | None) -> str:
    return "?" if number is None else str(number)


def total(values: Iterable[float | None]) -> Amount:
    """The sum of what is known; unknown where nothing is."""
    values = list(values)
    known = [value for value in values if value is not None]
    return Amount(sum(known), len(known) < len(values)) if known else UNKNOWN


def _share(memory: Amount, uses: Sequence[DeviceUse], cards: Mapping[str, Card]) -> Amount:
    """Of the memory of all the process's devices; unknown where one of them does not say."""
    if memory.value is None:
        return UNKNOWN
    whole = 0.0
    for use in uses:
        card = cards.get(use.mig or use.device)
        if card is None or not card.memory_total_bytes:
            return UNKNOWN
        whole += card.memory_total_bytes
    return Amount(memory.value / whole, memory.at_least)


def state_letter(state: str) -> str:
    """A process state as the kernel's letter, whether it was given so or in words."""
    return clean(_LETTERS.get(state, state))


_LETTERS = {word: letter for letter, word in STATES.items()}


def _running(process: Process, utc_s: float) -> Amount:
    if process.started_utc_s is None:
        return UNKNOWN
    return Amount(max(0.0, utc_s - process.started_utc_s))


@lru_cache(maxsize=256)
def _whole_command(command: tuple[str, ...]) -> str:
    return join_command(command)


@lru_cache(maxsize=256)
def _short_command(command: tuple[str, ...]) -> str:
    """The command line without its program's path, cut where no table is wide enough."""
    program = command[0]
    if program.startswith("/") and " " not in program and not program.endswith("/"):
        program = program.rpartition("/")[2]
    return join_command((program, *command[1:]))[:MOST_COMMAND]


def _command(process: Process, command: tuple[str, ...], name: str | None) -> str:
    if command:
        return _short_command(command)
    if process.command:
        return redact(process.command)
    return name or NO_VALUE
