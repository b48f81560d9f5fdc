"""Writing what is on screen to a file."""

from __future__ import annotations

import re
from pathlib import Path

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
