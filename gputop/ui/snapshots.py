"""Writing what is on screen to a file."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from pathlib import Path

from gputop import text
from gputop.errors import GputopError
from gputop.export.files import snapshot_name, write_beside
from gputop.export.formats import FORMATS, Options
from gputop.model.frame import Frame, Hello

_WEB_FONT = re.compile(r"@font-face\s*\{.*?\}\s*", re.S)


def save(
    hello: Hello, frame: Frame, form_name: str, folder: Path, options: Options, picture: str
) -> list[Path]:
    """Write a snapshot into `folder` under the first free name.

    Args:
        hello: The hello on screen.
        frame: The frame on screen.
        form_name: A name of `FORMATS`.
        folder: Where to.
        options: What to leave out.
        picture: The screen as SVG, for that format.

    Raises:
        ExportFailed: it cannot be written; nothing is left behind.
    """
    form = FORMATS[form_name]
    suffix = form.suffixes[0]
    if form.make is None:
        # The picture must look the same without a network: no font is fetched for it.
        parts = [(suffix, _WEB_FONT.sub("", picture).encode())]
    else:
        made = form.make(hello, frame, options)
        parts = [(f"{part.tail}{suffix}", part.text.encode()) for part in made]
    return write_beside(folder, snapshot_name(hello, frame), parts)


class Saving:
    """A snapshot on its way to the disk, in a thread of its own.

    `on_end` is called from that thread, with True when something went wrong.
    """

    def __init__(
        self, write: Callable[[], list[Path]], on_end: Callable[[Saving, bool], None]
    ) -> None:
        self.sentence = "The snapshot is not written: the disk is too slow."
        """Where it is, or what went wrong."""
        self._write, self._on_end = write, on_end
        self._thread = threading.Thread(target=self._run, name="snapshot", daemon=True)

    def start(self) -> None:
        """Begin. Whoever waits for it must know of it before: a signal may end us at once."""
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for it, so long at most. In a signal's handler too, where no lock may be taken."""
        with contextlib.suppress(RuntimeError):  # it is just being started
            self._thread.join(max(0.0, seconds))

    def _run(self) -> None:
        try:
            paths = self._write()
        except GputopError as error:
            self.sentence = text.clean(str(error))
            self._on_end(self, True)
        else:
            names = " and ".join(str(path.resolve()) for path in paths)
            self.sentence = text.clean(f"Snapshot written to {names}")
            self._on_end(self, False)
