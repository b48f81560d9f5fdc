"""The command palette: Textual's, where it takes keys that come faster than it closes."""

from __future__ import annotations

from textual import events, on
from textual.command import CommandList, CommandPalette
from textual.errors import NoWidget
from textual.widgets import Button, Input, OptionList

from gputop.ui.screens.base import NewestSize


class ActionPalette(NewestSize, CommandPalette):
    """Finds any action by its name."""

    @on(events.Click)
    @on(Input.Changed)
    @on(Input.Submitted)
    @on(Button.Pressed)
    @on(OptionList.OptionSelected)
    def _ignore_unless_on_top(self, event: events.Event) -> None:
        """A second Enter or click may be on its way when the first has closed the palette, or when
        another screen has come over it: it would do the action again, and close a screen that is
        not this one. A letter would start a search for nobody. A click may be for where the screen
        ended before it shrank: Textual looks what is there.
        """
        lost = isinstance(event, events.Click) and not self._is_over_something(event)
        if self.app.screen is not self or lost:
            event.stop()
            event.prevent_default()

    def _is_over_something(self, click: events.Click) -> bool:
        try:
            self.get_widget_at(click.screen_x, click.screen_y)
        except NoWidget:
            return False
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does something now: none moves in a list that is not there yet, or has no
        room to be drawn.
        """
        lists = self.query(CommandList)
        if action == "cursor_down" and not lists:
            return False
        if action == "command_list" and not any(each.scrollable_content_region for each in lists):
            return False
        return super().check_action(action, parameters)
