"""Draws the README's pictures from the demo: run it from the repository's root.

python -m screenshots.make
"""

import asyncio
import re
from pathlib import Path

from tests.demo_records import MY_UID, demo_records
from tests.ui.source import app_on

HERE = Path(__file__).parent
PICTURES: dict[str, tuple[tuple[int, int], tuple[str, ...]]] = {
    "overview": ((140, 46), ()),
    "device": ((140, 46), ("tab", "right", "right", "down", "enter")),
    "verdict": ((124, 34), ("tab", "right", "enter")),
    "warnings": ((140, 30), ("w",)),
    "small": ((80, 24), ()),
}
"""Size and keys of each picture."""

_WEB_FONT = re.compile(r"@font-face\s*\{.*?\}\s*", re.S)


async def draw(name: str) -> None:
    """Draw one picture, 120 simulated seconds after the start."""
    size, keys = PICTURES[name]
    app = app_on(demo_records(8, 62))
    app.overview.table.uid = MY_UID
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
        svg = app.export_screenshot(title="gputop --demo")
    (HERE / f"{name}.svg").write_text(_WEB_FONT.sub("", svg))


if __name__ == "__main__":
    for picture in PICTURES:
        asyncio.run(draw(picture))
