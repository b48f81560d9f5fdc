"""Errors a user meets: one sentence that says what happened and what to do, and an exit code."""

from __future__ import annotations

import errno

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NO_DRIVER = 3

LONGEST_COMPLAINT = 200
"""Cells of what is said about a line that cannot be read."""


class GputopError(Exception):
    """Base of the errors that `main` prints as one sentence before it exits."""

    exit_code = EXIT_FAILED


class UsageError(GputopError):
    """A flag or a setting that cannot be meant."""

    exit_code = EXIT_USAGE


class SettingsError(GputopError):
    """The settings file is broken; the message names the line and the accepted values."""


class NoDriver(GputopError):
    """There is no NVIDIA driver, or no device behind it."""

    exit_code = EXIT_NO_DRIVER


class CollectorFailed(GputopError):
    """The collector process ended or fell silent where one reading was needed."""


class ExportFailed(GputopError):
    """A file could not be written; whatever was there before is untouched."""


class BrokenRecord(GputopError):
    """A line of a stream or a recording that cannot be read."""

    def __init__(self, line: int, what: str, where: str = "") -> None:
        """`line` counts from 1; `what` completes the sentence "line N ..."; `where` names the
        file, where there is one. Both may quote what was read: what drives a terminal is made
        visible and what is too long is cut.
        """
        from gputop.text import clean  # only for a mistake

        place = f"{clean(where)}, line {line}" if where else f"line {line}"
        super().__init__(f"{place} {clean(what, LONGEST_COMPLAINT)}.")
        self.line, self.what = line, what


def unforeseen(error: Exception) -> str:
    """The sentence about an error that nobody foresaw. It may quote what was read."""
    if isinstance(error, MemoryError) or str(error) == "can't start new thread":  # Python's words
        return (
            "There is no room for another thread, or for memory: raise the limits on processes "
            "and memory (see ulimit -u and ulimit -v)."
        )
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "There is no room for another open file: raise the limit (see ulimit -n)."
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    return (
        f"Something unforeseen went wrong ({what}); please report it with the output of the same "
        "command under GPUTOP_TRACEBACK=1."
    )
