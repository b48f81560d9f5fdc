"""Reading many numbered fields in one call (``nvmlDeviceGetFieldValues``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from gputop.collect.nvml import abi
from gputop.collect.nvml.library import Library, Meter
from gputop.collect.nvml.values import Convert, Raw, Result, Trouble, reason_of

ALL_LINKS = 0xFFFFFFFF
"""Scope that asks for the sum over a device's NVLinks."""


class Field(Struct, frozen=True):
    """One numbered field, and the metric it gives."""

    metric: str
    id: int
    convert: Convert


class FieldRows:
    """The rows of one call; `rows` keeps the answers until the next."""

    def __init__(
        self, library: Library, meter: Meter, handle: Any, ids: Sequence[tuple[int, int]]
    ) -> None:
        """`ids` are pairs of a field's number and its scope."""
        self._library = library
        self._meter = meter
        self._handle = handle
        self.rows = (abi.FieldValue * len(ids))()
        for row, (number, scope) in zip(self.rows, ids, strict=True):
            row.field, row.scope = number, scope

    def ask(self) -> int:
        """Make the call and answer its return code. Each row has a code of its own beside it."""
        return self._library.call(
            self._meter, "nvmlDeviceGetFieldValues", self._handle, len(self.rows), self.rows
        )


def unless_unknown(code: int) -> int:
    """A row's code. In a call that succeeded the handle was good, so an invalid argument is a
    number that this driver does not know.
    """
    return abi.NOT_SUPPORTED if code == abi.INVALID_ARGUMENT else code


def number_of(row: Any) -> tuple[Raw | None, int | None]:
    """The number in a row and its type's "not available"; a type that no ``nvml.h`` knows gives
    None.
    """
    member, absent = abi.NUMBER_TYPES.get(row.value_type, ("", None))
    return (getattr(row.value, member) if member else None), absent


class FieldBatch:
    """Metrics of one device that are read together. A field answered "not supported" leaves the
    batch, and an empty batch asks nothing.
    """

    def __init__(
        self, library: Library, meter: Meter, handle: Any, wanted: Iterable[Field]
    ) -> None:
        self._source = (library, meter, handle)
        self._never: dict[str, str] = {}
        self._keep(tuple(wanted))

    def _keep(self, fields: tuple[Field, ...]) -> None:
        self._fields = fields
        self._rows = FieldRows(*self._source, [(field.id, 0) for field in fields])

    @property
    def supported(self) -> frozenset[str]:
        """The metrics that are still asked for."""
        return frozenset(field.metric for field in self._fields)

    def read(self, result: Result) -> None:
        """Ask, and put values and reasons into `result`. Raises Trouble for a lost device."""
        result.missing.update(self._never)
        if not self._fields:
            return
        code = self._rows.ask()
        if code != abi.SUCCESS:
            self._failed(code, self._fields, result)
            return
        for field, row in zip(self._fields, self._rows.rows, strict=True):
            if row.answer == abi.SUCCESS:
                result.put(field.metric, *number_of(row), field.convert)
            else:
                self._failed(unless_unknown(row.answer), (field,), result)

    def _failed(self, code: int, fields: tuple[Field, ...], result: Result) -> None:
        Trouble.check(code)
        result.codes.add(code)
        reasons = {field.metric: reason_of(code) for field in fields}
        result.missing.update(reasons)
        if code in abi.NEVER:
            self._never.update(reasons)
            self._keep(tuple(field for field in self._fields if field not in fields))
