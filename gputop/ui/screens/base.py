"""The base of the screens that show a view of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.events import Resize
from textual.screen import Screen

from gputop.ui.keys import Key
from gputop.ui.view import View
from gputop.ui.widgets.header import Header
from gputop.ui.widgets.notice import Notice

if TYPE_CHECKING:
    from gputop.ui.app import GputopApp


class NewestSize:
    """A mixin for screens that follow the newest size of the terminal alone.

    Textual's screen sends itself each size that it was laid out for: of two that are under way at
    once it goes from one to the other for ever, and nothing else is done, not even to leave.
    """

    async def _on_resize(self, event: Resize) -> None:
        # Textual calls the handler of every class: this one runs before the screen's own.
        if event.size != cast("Screen[object]", self).app.size:
            event.prevent_default()


class ViewScreen(NewestSize, Screen[None]):
    """A screen with a header and a notice, drawn anew with every view.

    A subclass yields a `Header` and a `Notice` and says in `draw_view` what else it shows.
    """

    DEFAULT_CSS = """
    ViewScreen { layout: vertical; overflow: hidden; }
    ViewScreen > LineWidget { width: 1fr; height: 1; }
    """

    keys: ClassVar[tuple[Key, ...]] = ()
    """What the palette offers here, besides what works everywhere."""

    @property
    def gputop(self) -> GputopApp:
        """The app, as the type it has."""
        return cast("GputopApp", self.app)

    def focus_for(self, key: Key) -> None:
        """Focus the part of the screen that a key is for."""

    @property
    def copyable(self) -> tuple[str, str] | None:
        """What `y` copies here, and what to call it."""
        return None

    def show(self, view: View) -> None:
        """Draw a view."""
        self.show_age()
        self.draw_view(view)

    def show_age(self) -> None:
        """Draw what may change without a reading: ages, pause, trouble."""
        self.query_one(Header).show(self.gputop.view, self.gputop.behind_s)
        self.query_one(Notice).show(self.gputop.trouble, self.size.width)

    def draw_view(self, view: View) -> None:
        """Draw everything but header and notice."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        """Time went on under the screen that was on top."""
        if self.query(Header):
            self.show(self.gputop.view)

    def action_back(self) -> None:
        """Back to where it was opened."""
        if self.app.screen is self:  # not twice, when two keys came at once
            self.dismiss()
