"""The command line: finds the subcommand, runs it, and turns errors into one sentence."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn, cast

from gputop import __version__
from gputop.errors import EXIT_FAILED, GputopError
from gputop.lean import import_msgspec

if TYPE_CHECKING:
    from gputop.commands.base import Command

COMMANDS = {
    "snapshot": "gputop.commands.snapshot",
    "stream": "gputop.commands.stream",
    "record": "gputop.commands.record",
    "replay": "gputop.commands.replay",
    "check": "gputop.commands.check",
    "run": "gputop.commands.run",
    "report": "gputop.commands.report",
    "doctor": "gputop.commands.doctor",
}
"""Module of each subcommand; it is imported when the subcommand is called."""

SCREEN = "gputop.commands.tui"
"""What runs without a subcommand."""

EXIT_INTERRUPTED = 130
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> NoReturn:
    """Run the command line of this process and leave at once: no thread that hangs in a driver
    call is waited for.
    """
    _fill_standard_descriptors()
    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # closed, full or never there: nobody reads it
    os._exit(code)


def _fill_standard_descriptors() -> None:
    """Have no file or pipe opened later become descriptor 0, 1 or 2 where such a one is closed:
    what a driver library prints on stderr would go into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code. Errors end up on stderr as one sentence."""
    try:
        code = _dispatch(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # while there is somebody to tell that it cannot be written
    except GputopError as error:
        _say(str(error))
        return error.exit_code
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SystemExit as request:  # argparse has printed help
        return int(request.code or 0)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            _say(f"Cannot write the output: {error.strerror}.")
            return EXIT_FAILED
        from gputop.commands.base import report_unforeseen  # only for a mistake

        return report_unforeseen(error)
    return code


def _dispatch(arguments: list[str]) -> int:
    if arguments in (["--version"], ["-V"]):
        print(f"gputop {__version__}")
        return 0
    import_msgspec()  # before anything else does
    from argparse import RawDescriptionHelpFormatter

    from gputop.commands.base import Parser

    if arguments and arguments[0] in COMMANDS:
        name = arguments[0]
        command = _load(COMMANDS[name])
        parser = Parser(prog=f"gputop {name}", description=command.HELP)
        command.prepare_parser(parser)
        return command.run(parser.parse_args(arguments[1:]))
    screen = _load(SCREEN)
    parser = Parser(
        prog="gputop",
        usage="gputop [options]\n       gputop COMMAND [options]",
        description="Inspect NVIDIA GPUs in real time.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=f"gputop {__version__}")
    screen.prepare_parser(parser)
    if not {"-h", "--help"}.isdisjoint(arguments):
        parser.epilog = _list_commands()
    options, words = parser.parse_known_args(arguments)
    if words:
        parser.error(_unexpected(words[0]))
    return screen.run(options)


def _load(module: str) -> Command:
    return cast("Command", import_module(module))


def _list_commands() -> str:
    width = max(map(len, COMMANDS)) + 2
    rows = [f"  {name:{width}}{_load(module).HELP}" for name, module in COMMANDS.items()]
    return "\n".join(["commands:", *rows, "", "`gputop COMMAND --help` says more."])


def _unexpected(word: str) -> str:
    """What to say about a word that is no option of the screen."""
    if word in COMMANDS:
        return f"the options of {word} stand behind it: gputop {word} [options]"
    if word.startswith("-"):
        return f"there is no option {word}"
    return f"there is no command {word!r}; the commands are {', '.join(COMMANDS)}"


def _say(sentence: str) -> None:
    from gputop.commands.base import say  # only for a mistake

    say(sentence)


if __name__ == "__main__":
    main()
