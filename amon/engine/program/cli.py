"""`amon-engine`: the command line. Imports late: what only prints needs neither numpy nor a network."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from amon.commandline import add_command, add_config, make_parser, run_command
from amon.engine.program.settings import Way

DEFAULT = Path("/etc/amon/engine.toml")
OK, PROBLEMS = 0, 1  # argparse ends with 2 for wrong usage; `run` with 78 for a configuration that cannot be run


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    return run_command(parser(), argv)


def parser() -> argparse.ArgumentParser:
    whole = make_parser(
        "amon-engine",
        "The packet engine: sends ICMP echo requests to very many addresses, and accounts for each.",
    )
    commands = whole.add_subparsers(title="commands", dest="command_name", required=True, metavar="COMMAND")
    _add_config(
        add_command(commands, _run, "run", "run the engine in the foreground (exit code 78: bad configuration)")
    )
    check = add_command(
        commands, _check, "check", "tell every problem, and which way to the network could be had (exit code 1: some)"
    )
    _add_config(check)
    check.add_argument("--offline", action="store_true", help="do not try ways to the network")
    check.add_argument("--json", action="store_true", help="for programs")
    _add_status(add_command(commands, _status, "status", "ask a running engine how it is (exit code 0: well, 1: not)"))
    _add_ping(
        add_command(commands, _ping, "ping", "probe from here and now, without an engine that runs (exit code 1: lost)")
    )
    add_command(commands, _example, "example", "print a commented configuration")
    add_command(commands, _unit, "unit", "print the systemd unit")
    add_command(commands, _reference, "reference", "print what may stand in a configuration, as Markdown")
    return whole


def _add_status(status: argparse.ArgumentParser) -> None:
    _add_config(status)
    status.add_argument("--socket", type=Path, metavar="PATH", help="the engine's socket, instead of a configuration")
    status.add_argument("--tenant", metavar="NAME", help="for whom to ask; the first one you may speak for otherwise")
    status.add_argument("--json", action="store_true", help="for programs")


def _add_ping(ping: argparse.ArgumentParser) -> None:
    ping.add_argument("addresses", nargs="+", metavar="ADDRESS", help="IPv4 or IPv6, or a name")
    ping.add_argument(
        "-c", dest="count", type=_count, default=4, metavar="N", help="packets to each; 0: until Ctrl-C (default: 4)"
    )
    ping.add_argument(
        "-i", dest="interval", type=_seconds, default=1.0, metavar="S", help="seconds between two (default: 1)"
    )
    ping.add_argument("-W", dest="timeout", type=_seconds, default=2.0, metavar="S", help="wait so long (default: 2)")
    ping.add_argument("-s", dest="size", type=_size, default=56, metavar="BYTES", help="of payload (default: 56)")
    ping.add_argument("-t", dest="ttl", type=_ttl, default=64, metavar="TTL", help="time to live (default: 64)")
    ping.add_argument("-D", dest="df", action="store_true", help="do not fragment")
    ping.add_argument("-q", dest="quiet", action="store_true", help="only the summary")
    ping.add_argument(
        "--pcap", type=Path, metavar="FILE", help="write the packets there (file or pipe), for tcpdump and tshark"
    )
    ping.add_argument(
        "--way", default="auto", choices=get_args(Way), help="how to send and receive (default: %(default)s)"
    )
    ping.add_argument("--interface", metavar="NAME", help="send through this one by its link layer")
    ping.add_argument("--json", action="store_true", help="for programs: one document per line")


def _within(least: float, most: float, whole: bool) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = int(text) if whole else float(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"from {least:g} to {most:g}")
        return value

    read.__name__ = "number"
    return read


def _count(text: str) -> int:
    return int(_within(0, 1_000_000, True)(text))


def _seconds(text: str) -> float:
    return _within(0.001, 3600, False)(text)


def _size(text: str) -> int:
    return int(_within(16, 1972, True)(text))


def _ttl(text: str) -> int:
    return int(_within(1, 255, True)(text))


def _add_config(one: argparse.ArgumentParser) -> None:
    add_config(one, DEFAULT)


def _without_numpy() -> bool:
    """Says so, if it is not there. To be asked before it is imported."""
    from importlib.util import find_spec

    # Its threads would begin before rights are given up, and keep them.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    if find_spec("numpy") is not None:
        return False
    print("amon-engine: numpy is not installed; next: pip install 'amon[engine]'", file=sys.stderr)
    return True


def _run(options: argparse.Namespace) -> int:
    if _without_numpy():
        return PROBLEMS
    from amon.engine.program.run import run

    return run(options.config)


def _check(options: argparse.Namespace) -> int:
    from amon.engine.program.checking import check
    from amon.engine.program.configuration import World

    report = check(options.config, World(), offline=options.offline)
    sys.stdout.write(report.json() if options.json else report.text())
    return PROBLEMS if report.problems else OK


def _status(options: argparse.Namespace) -> int:
    from amon.engine.program.showing import status

    return status(options.config, options.socket, options.tenant, json=options.json)


def _ping(options: argparse.Namespace) -> int:
    if _without_numpy():
        return PROBLEMS
    from amon.engine.program.pinging import Wish, ping

    chosen = {name: getattr(options, name) for name in Wish.__dataclass_fields__}
    return ping(Wish(**chosen))


def _example(options: argparse.Namespace) -> int:
    from amon.engine.program.printed import configuration_example

    sys.stdout.write(configuration_example())
    return OK


def _unit(options: argparse.Namespace) -> int:
    from amon.engine.program.printed import unit

    sys.stdout.write(unit())
    return OK


def _reference(options: argparse.Namespace) -> int:
    from amon.engine.program.printed import configuration_reference

    sys.stdout.write(configuration_reference())
    return OK


if __name__ == "__main__":
    # `python -m` puts the current directory first (sys.path, PYTHONSAFEPATH): what lies there is nobody's module.
    if not sys.flags.safe_path:
        sys.path[:1] = []
    sys.exit(main())
