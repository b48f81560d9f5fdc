"""Drawing a figure with plotext 6: curves, thresholds, axes and their labels.

Imported on the first opening of a chart only: it costs 100 ms. plotext has one figure for the
whole process and is not thread-safe: whoever draws holds `gputop.ui.device.drafter`'s lock.
"""

from __future__ import annotations

import ctypes
import re

import plotext

from gputop.ui.device.figure import AXIS, Axis, Curve, Figure, Picture, Piece

FIRST_COLOUR = 16
"""Roles travel through plotext as numbers of the 256 colours, from this one on."""
_SGR = re.compile(r"\x1b\[([0-9;]*)m")


class _Roles:
    """The colour number of each role of a figure, and back."""

    def __init__(self) -> None:
        self._roles: list[str] = []

    def pixel(self, role: str) -> plotext.pixel:
        if role not in self._roles:
            self._roles.append(role)
        return plotext.pixel(foreground=FIRST_COLOUR + self._roles.index(role))

    def role(self, codes: str, before: str) -> str:
        parts = codes.split(";")
        if parts[0] in {"", "0"}:
            return ""
        if parts[:2] == ["38", "5"]:
            number = int(parts[2]) - FIRST_COLOUR
            return self._roles[number] if 0 <= number < len(self._roles) else before
        return before


def draw(figure: Figure) -> Picture:
    """The figure's cells. A canvas of 160x40 takes some 30 ms."""
    plotext.terminal.limit(False, False)
    roles = _Roles()
    plot = plotext.figure
    plot.clear()
    plot.plot_size(figure.width, figure.height)
    plot.canvas("default")  # else it is white
    plot.ruler().alignment(lim="edge")
    _frame(plot, figure, roles)
    for rule in figure.rules:
        plot.line(rule.value, orientation=0, pixel=roles.pixel(rule.role))
    for curve in figure.curves:
        if curve.points:
            _curve(plot, curve, roles)
    text = plot.build().string()
    rows = [_pieces(line, roles) for line in text.split("\n")[: figure.height]]
    return Picture(figure, tuple(rows))


def give_back() -> None:
    """Return the memory that drawing took to the system: a large canvas takes 20 MB of cells, and
    the C library would keep them. Other libraries than GNU's do it unasked.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _frame(plot: plotext.figure, figure: Figure, roles: _Roles) -> None:
    pixel = roles.pixel(AXIS)
    plot.axes(True, pixel=pixel)
    plot.axes(False, axis="x", side="upper")
    plot.axes(figure.right is not None, axis="y", side="right")
    plot.ruler().pixel(pixel)
    x = plot.ruler("x", "lower")
    x.lim(0, figure.canvas_width)
    _ticks(x, figure.times or ((0, " "),))
    for side, axis in (("left", figure.left), ("right", figure.right)):
        if axis is not None:
            ruler = plot.ruler("y", side)
            ruler.lim(axis.low, _top(axis))
            _ticks(ruler, axis.ticks)


def _ticks(ruler: plotext.figure, ticks: tuple[tuple[float, str], ...]) -> None:
    ruler.ticks([at for at, _ in ticks], [label for _, label in ticks])


def _top(axis: Axis) -> float:
    """The upper edge, a hair above the highest value: what stands on the edge is in."""
    return axis.high + (axis.high - axis.low) * 1e-9


def _curve(plot: plotext.figure, curve: Curve, roles: _Roles) -> None:
    marker = plotext.marker(curve.mark or "braille", roles.pixel(curve.role))
    signal = plot.signal(
        [x for x, _ in curve.points], [y for _, y in curve.points],
        marker=marker, yside="right" if curve.right else "left",
    )  # fmt: skip
    for index in range(1, len(curve.points)):
        signal.line(index, index not in curve.starts)
    plot.draw(signal)


def _pieces(line: str, roles: _Roles) -> tuple[Piece, ...]:
    """A row of plotext's text as words and roles."""
    found: list[Piece] = []
    role, at = "", 0
    ends = [(m.start(), m.end(), m.group(1)) for m in _SGR.finditer(line)]
    for start, end, codes in [*ends, (len(line), len(line), "")]:
        if start > at:
            if found and found[-1][1] == role:
                found[-1] = (found[-1][0] + line[at:start], role)
            else:
                found.append((line[at:start], role))
        role, at = roles.role(codes, role), end
    return tuple(found)
