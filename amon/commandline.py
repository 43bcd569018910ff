"""What the command lines of the daemons have in common. Imports late: what only prints must not wait for anything."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

Command = Callable[[argparse.Namespace], int]


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Runs the command that the words choose; the exit code."""
    options = parser.parse_args(argv)
    command: Command = options.command
    sys.excepthook = _last_words
    try:
        code = command(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `amon-agent example | head`
        # What is still in the buffer would complain once more at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def make_parser(name: str, description: str) -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog=name, description=description)
    whole.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    return whole


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", command: Command, name: str, about: str
) -> argparse.ArgumentParser:
    one = commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
    one.set_defaults(command=command)
    return one


def add_config(one: argparse.ArgumentParser, default: Path) -> None:
    one.add_argument(
        "--config", type=Path, default=default, metavar="FILE", help="the configuration (default: %(default)s)"
    )


class _Version(argparse.Action):
    """Reads the version only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"{parser.prog} {version('amon')}")
        parser.exit()


def _last_words(kind: type[BaseException], error: BaseException, trace: object) -> None:
    """A bug of ours, as discreetly as the log would say it; what that takes is imported only then."""
    from amon.log import traceback_of

    sys.stderr.write(traceback_of(error))
