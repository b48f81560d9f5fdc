"""What is read from the terminal: keys, pastes, and the answers to what is asked of it."""

from __future__ import annotations

import os
import re
import selectors
from collections.abc import Callable, Generator, Iterable, Iterator

from textual import events
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.message import Message

MOST_PASTED = 65_536
"""Characters of a paste; what is beyond them is passed over."""
_PASTE_BEGINS, _PASTE_ENDS = "\x1b[200~", "\x1b[201~"
_ANSWER = re.compile(r"\x1b\[\?2026;(\d+)\$y")
_UNFINISHED = re.compile(r"\x1b[^\x1b]{0,10}\Z")
_CTRL_C = ("\x03", "\x1b[99;5u")
"""As most terminals and as kitty send it."""


class FrameAnswer(Message, no_dispatch=True):
    """The terminal answered the query that ends a frame."""

    def __init__(self, setting: int) -> None:
        """Note what it said.

        Args:
            setting: Ps of DECRPM: 0 not recognised, 1 set, 2 reset, 3 and 4 permanently so.
        """
        self.setting = setting
        super().__init__()


class AnswerParser(XTermParser):
    """Textual's parser, which also reports answers that say "not recognised", and goes on behind
    what is no key and no answer.
    """

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._paste: str | None = None
        """What was pasted so far, in a paste."""
        self._before = ""
        """What was read last, as far as a sequence may go on behind it."""

    def feed(self, data: str) -> Iterator[Message]:
        """What is read means these messages. A paste is kept from Textual's parser: it would take
        all of one without an end, and type what an answer in the midst of one says.
        """
        if not data:
            yield from super().feed(data)
        while data:
            if self._paste is not None:
                data = yield from self._read_paste(self._paste, data)
                continue
            seen = self._before + data
            begins = seen.find(_PASTE_BEGINS)
            size = len(data) if begins < 0 else begins + len(_PASTE_BEGINS) - len(self._before)
            self._before = seen[1 - len(_PASTE_BEGINS) :] if begins < 0 else ""
            yield from self._read_keys(data[:size])
            data = data[size:]
            if begins >= 0:
                self._paste = ""

    def _read_paste(self, paste: str, data: str) -> Generator[Message, None, str]:
        """Go on with a paste; returns what stands behind it."""
        if _ANSWER.sub("", data) in _CTRL_C:  # the end was lost on the way
            self._start_afresh()
            return data
        text, end, behind = (self._before + data).partition(_PASTE_ENDS)
        unfinished = None if end else _UNFINISHED.search(text)
        self._before = unfinished[0] if unfinished else ""
        text = text.removesuffix(self._before)
        for answer in _ANSWER.finditer(text):
            yield FrameAnswer(int(answer[1]))
        self._paste = (paste + _ANSWER.sub("", text))[:MOST_PASTED]
        if end:
            yield events.Paste(self._paste.replace("\0", ""))
            self._paste = None
            yield from (m for m in self._read_keys(end) if not isinstance(m, events.Paste))
        return behind

    def _read_keys(self, data: str) -> Iterator[Message]:
        """What breaks Textual's parser is passed over, with what came at the same time: a noisy
        line must not end the program.
        """
        try:
            yield from super().feed(data)
        except ParseError:
            raise
        except Exception:
            self._start_afresh()

    def _start_afresh(self) -> None:
        """Expect nothing in particular."""
        self._paste, self._before = None, ""
        self._tokens.clear()
        self._gen = self.parse(self._tokens.append)
        self._awaiting = next(self._gen)
        self._timeout_time = None

    def is_pending(self) -> bool:
        """Does what was read so far mean something once some time has passed?"""
        return self._timeout_time is not None

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        if sequence.startswith("\x1b[?2026;") and sequence.endswith("$y"):
            setting = sequence[8:-2]
            self._tokens.append(FrameAnswer(int(setting) if setting.isdecimal() else 0))
        return super()._sequence_to_key_events(sequence, alt)


class InputSelector(selectors.PollSelector):
    """What the input thread waits on.

    Textual's looks up ten times a second, also while nobody types; this one does so only while
    a key may be the beginning of a sequence, and once the thread is to end.
    """

    def __init__(self, wake: int, is_pending: Callable[[], bool]) -> None:
        """Wait for what is registered, and for `wake`.

        Args:
            wake: An event descriptor: the thread is about to be told to end.
            is_pending: Says whether what was read so far waits for more, or for its time.
        """
        super().__init__()
        self._wake = wake
        self._is_pending = is_pending
        self._ends = False
        self.register(wake, selectors.EVENT_READ)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for input; only where there is something else to do, not beyond `timeout` (s)."""
        ready = super().select(timeout if self._ends or self._is_pending() else None)
        if any(key.fd == self._wake for key, _ in ready):
            os.eventfd_read(self._wake)
            self._ends = True
        return [(key, events) for key, events in ready if key.fd != self._wake]
