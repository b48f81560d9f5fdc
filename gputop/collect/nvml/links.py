"""NVLink: how many links are up, and what goes over them."""

from __future__ import annotations

import ctypes
from typing import Any

from gputop.collect.clock import LONGEST_SPAN_S
from gputop.collect.nvml import abi
from gputop.collect.nvml.fields import ALL_LINKS, FieldRows, number_of, unless_unknown
from gputop.collect.nvml.library import Library, Meter
from gputop.collect.nvml.values import Result, Trouble, reason_of
from gputop.model import missing
from gputop.model.metrics import plausible

TX, RX = "nvlink_tx_bytes_per_s", "nvlink_rx_bytes_per_s"

COUNTERS: tuple[tuple[int, int, int, bool], ...] = (
    (138, 139, 1024, True),
    (202, 204, 1, True),
    (138, 139, 1024, False),
    (202, 204, 1, False),
)
"""Where sent and received data are counted: two field numbers, bytes for each count, and whether
the driver sums the links up. NVLink 5 has the second pair; the first that answers is kept."""

STATE = 165
UP = (1, 2)
"""NVML_NVLINK_STATE_ACTIVE and _SLEEP: a sleeping link wakes by itself."""


class Links:
    """The NVLinks of one device."""

    def __init__(self, library: Library, meter: Meter, handle: Any, count: int) -> None:
        self._library = library
        self._meter = meter
        self._handle = handle
        self.count = count
        self._sources = list(COUNTERS) if count else []
        self._rows: FieldRows | None = None
        self._before: tuple[float, tuple[int, ...], int, int] | None = None
        self._states: FieldRows | None = None
        self._by_call = False

    def rates(self, now: float, result: Result) -> None:
        """Bytes per second since the last reading; `now` is CLOCK_BOOTTIME. Raises Trouble."""
        while self._sources:
            number_tx, number_rx, unit, summed = self._sources[0]
            if self._rows is None:
                scopes = [ALL_LINKS] if summed else list(range(self.count))
                ids = [(number, scope) for number in (number_tx, number_rx) for scope in scopes]
                self._rows = FieldRows(self._library, self._meter, self._handle, ids)
            code = self._rows.ask()
            rows = self._rows.rows
            answers = {unless_unknown(r.answer) for r in rows} if code == abi.SUCCESS else {code}
            for answer in answers:
                Trouble.check(answer)
            if abi.SUCCESS in answers:
                self._differ(now, unit, result)
                return
            if not answers <= abi.NEVER:
                reason = reason_of(max(answers))
                result.refuse(TX, reason)
                result.refuse(RX, reason)
                return
            self._sources.pop(0)
            self._rows = None
        result.refuse(TX, missing.UNSUPPORTED)
        result.refuse(RX, missing.UNSUPPORTED)

    def _differ(self, now: float, unit: int, result: Result) -> None:
        assert self._rows is not None
        counts = [None if row.answer else number_of(row)[0] for row in self._rows.rows]
        half = len(counts) // 2
        pairs = list(zip(counts[:half], counts[half:], strict=True))
        answered = tuple(i for i, pair in enumerate(pairs) if None not in pair)
        tx = sum(int(pairs[i][0] or 0) for i in answered) * unit
        rx = sum(int(pairs[i][1] or 0) for i in answered) * unit
        before, self._before = self._before, (now, answered, tx, rx)
        elapsed = now - before[0] if before else 0.0
        alike = before is not None and before[1] == answered and answered
        if before is None or not alike or not 0 < elapsed <= LONGEST_SPAN_S:
            result.refuse(TX, missing.NEEDS_TWO_READINGS)
            result.refuse(RX, missing.NEEDS_TWO_READINGS)
            return
        for metric, new, old in ((TX, tx, before[2]), (RX, rx, before[3])):
            self._put_rate(metric, (new - old) / elapsed, result)

    @staticmethod
    def _put_rate(metric: str, rate: float, result: Result) -> None:
        """A counter that went back was reset, and says nothing until it is read again."""
        if rate < 0:
            result.refuse(metric, missing.NEEDS_TWO_READINGS)
        elif not plausible(metric, rate):
            result.refuse(metric, missing.implausible(round(rate)))
        else:
            result.values[metric] = rate
            result.missing.pop(metric, None)

    def active(self, result: Result) -> None:
        """How many links are up. Raises Trouble."""
        states = None if self._by_call else self._states_by_field()
        if states is None:
            self._by_call = True
            states = [self._state_by_call(link) for link in range(self.count)]
        known = [value for code, value in states if code == abi.SUCCESS]
        if known:
            result.values["nvlink_active"] = sum(value in UP for value in known)
        else:
            result.refuse("nvlink_active", reason_of(states[0][0] if states else abi.NOT_SUPPORTED))

    def _states_by_field(self) -> list[tuple[int, int]] | None:
        """Code and state of each link; None where the driver does not have the field."""
        if not self.count:
            return []
        if self._states is None:
            ids = [(STATE, link) for link in range(self.count)]
            self._states = FieldRows(self._library, self._meter, self._handle, ids)
        code = self._states.ask()
        Trouble.check(code)
        if code != abi.SUCCESS:
            return None
        found = [(row.answer, int(number_of(row)[0] or 0)) for row in self._states.rows]
        for answer, _ in found:
            Trouble.check(answer)
        return None if all(unless_unknown(code) in abi.NEVER for code, _ in found) else found

    def _state_by_call(self, link: int) -> tuple[int, int]:
        state = ctypes.c_uint()
        code = self._library.call(
            self._meter, "nvmlDeviceGetNvLinkState", self._handle, link, ctypes.byref(state)
        )
        Trouble.check(code)
        return code, state.value
