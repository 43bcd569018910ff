"""`amon-agent`: the command line. Imports late: what only prints must not wait for XMPP."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from amon.commandline import add_command, add_config, make_parser, run_command

DEFAULT = Path("/etc/amon/agent.toml")
STATE, USER = Path("/var/lib/amon-agent"), "amon"
OK, PROBLEMS = 0, 1  # argparse ends with 2 for wrong usage; `run` with 78 for a configuration that cannot be run


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    return run_command(parser(), argv)


def parser() -> argparse.ArgumentParser:
    whole = make_parser(
        "amon-agent",
        "The agent of a site: answers what its admins ask over XMPP, and shows how the site is.",
    )
    commands = whole.add_subparsers(title="commands", dest="command_name", required=True, metavar="COMMAND")

    run = add_command(commands, _run, "run", "run the agent in the foreground (exit code 78: bad configuration)")
    _add_config(run)
    run.add_argument(
        "--loop",
        choices=("auto", "asyncio", "uvloop"),
        default="auto",
        help="event loop; auto takes uvloop if installed",
    )
    check = add_command(commands, _check, "check", "tell every problem of a configuration (exit code 0: none, 1: some)")
    _add_config(check)
    check.add_argument("--offline", action="store_true", help="do not try to log in at the servers")
    check.add_argument("--json", action="store_true", help="for programs")
    enroll = add_command(commands, _enroll, "enroll", "make this host a site, with the token of `amon enroll SITE`")
    enroll.add_argument(
        "token", help="the token, a file that holds it, or - for standard input: others see what a command line says"
    )
    _add_config(enroll)
    enroll.add_argument("--state", type=Path, default=STATE, help="what the agent keeps (default: %(default)s)")
    enroll.add_argument("--user", help=f"whom the agent runs as (default: {USER}, if root says this)")
    enroll.add_argument("--json", action="store_true", help="for programs")
    enroll.add_argument("--force", action="store_true", help="replace a configuration that is there")
    key = add_command(commands, _key, "key", "print the public half of the site's own key, and its fingerprint")
    key.add_argument("file", type=Path, metavar="FILE", help="the key")
    key.add_argument("--make", action="store_true", help="make a new one in this file, which must not exist")
    _add_policy(commands)
    add_command(commands, _example, "example", "print a commented configuration")
    add_command(commands, _unit, "unit", "print the systemd unit")
    polkit = add_command(
        commands, _polkit, "polkit", "print the polkit rule that lets the agent manage these units only"
    )
    polkit.add_argument("units", nargs="+", metavar="UNIT", help="full name, such as apache2.service")
    polkit.add_argument("--user", default="amon", help="whom the agent runs as (default: %(default)s)")
    add_command(commands, _reference, "reference", "print what may stand in a configuration, as Markdown")
    return whole


def _add_policy(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "say what the policy says of a request (exit code 0: allowed, 13: refused), or show the policy"
    policy = commands.add_parser("policy", help=about, description=about[0].upper() + about[1:] + ".")
    kinds = policy.add_subparsers(title="commands", dest="kind", required=True, metavar="COMMAND")
    explain = add_command(
        kinds, _explain, "explain", "say whether somebody may ask for something, and why; does nothing"
    )
    explain.add_argument("who", metavar="WHO", help="address, such as alice@example.org")
    explain.add_argument(
        "words", nargs="+", metavar="COMMAND", help="the line; in quotes, or behind --, if it has options of its own"
    )
    explain.add_argument("--signed-by", default="", metavar="KEY", help="as if signed by this key (SHA256:...)")
    explain.add_argument("--at", metavar="TIME", help="at this time, such as 2026-11-21T03:00 (default: now)")
    explain.add_argument("--json", action="store_true", help="for programs")
    for one in (explain, add_command(kinds, _show_policy, "show", "print who may what, and which bundle is in force")):
        one.add_argument("--account", metavar="NAME", help="which account, if there are several")
        _add_config(one)


def _add_config(one: argparse.ArgumentParser) -> None:
    add_config(one, DEFAULT)


def _run(options: argparse.Namespace) -> int:
    from site_agent.run import run

    return run(options.config, options.loop)


def _check(options: argparse.Namespace) -> int:
    import asyncio

    from site_agent.check import check
    from site_agent.configuration import World

    def progress(text: str) -> None:
        if sys.stderr.isatty():
            print(text, file=sys.stderr)

    report = asyncio.run(check(options.config, World.here(), offline=options.offline, progress=progress))
    sys.stdout.write(report.json() if options.json else report.text())
    return PROBLEMS if report.problems else OK


def _enroll(options: argparse.Namespace) -> int:
    import asyncio
    import json
    import logging

    from amon.errors import Failed, Invalid
    from amon.text import visible
    from site_agent.enroll import enroll, token_of
    from site_agent.place import Place

    def progress(text: str) -> None:
        if sys.stderr.isatty():
            print(text, file=sys.stderr)

    logging.getLogger().addHandler(logging.NullHandler())  # what matters is said below
    user = options.user or (USER if os.geteuid() == 0 else None)
    place = Place(options.config.absolute(), options.state.absolute(), user, options.force)
    try:
        done = asyncio.run(enroll(token_of(options.token, sys.stdin), place, progress=progress))
    except (Failed, Invalid) as error:
        print(f"amon-agent enroll: {visible(str(error))}", file=sys.stderr)
        return 2 if isinstance(error, Invalid) else PROBLEMS
    sys.stdout.write(json.dumps(done.document(), indent=2) + "\n" if options.json else visible(done.text()))
    return OK


def _key(options: argparse.Namespace) -> int:
    from site_agent.sitekey import show_key

    return show_key(options.file, make=options.make)


def _explain(options: argparse.Namespace) -> int:
    import time

    from amon.errors import Failed, Invalid
    from amon.text import visible
    from site_agent.configuration import World, load
    from site_agent.explain import explain, moment_of

    try:
        now = time.time() if options.at is None else moment_of(options.at)
        loaded = load(options.config, World.here())
        answer = explain(loaded, options.who, options.words, now, account=options.account, key=options.signed_by)
    except Invalid as error:
        print(f"amon-agent policy: {visible(error.pointed())}", file=sys.stderr)
        return 2
    except Failed as error:
        print(f"amon-agent policy: {error}", file=sys.stderr)
        return PROBLEMS
    sys.stdout.write(answer.json() if options.json else answer.text())
    return answer.code


def _show_policy(options: argparse.Namespace) -> int:
    import time

    from amon.errors import Failed, Invalid
    from site_agent.configuration import World, load
    from site_agent.explain import account_of
    from site_agent.showpolicy import policy_text

    try:
        plan, authority = account_of(load(options.config, World.here()), options.account)
    except (Failed, Invalid) as error:
        print(f"amon-agent policy: {error}", file=sys.stderr)
        return 2 if isinstance(error, Invalid) else PROBLEMS
    sys.stdout.write(policy_text(plan.name, authority, time.time()))
    return OK


def _example(options: argparse.Namespace) -> int:
    from amon.module import Registry
    from site_agent.example import configuration_example

    sys.stdout.write(configuration_example(Registry()))
    return OK


def _unit(options: argparse.Namespace) -> int:
    from site_agent.printed import unit

    sys.stdout.write(unit())
    return OK


def _polkit(options: argparse.Namespace) -> int:
    from amon.errors import Invalid
    from site_agent.printed import polkit_rules

    try:
        sys.stdout.write(polkit_rules(options.units, options.user))
    except Invalid as error:
        print(f"amon-agent polkit: {error}", file=sys.stderr)
        return 2
    return OK


def _reference(options: argparse.Namespace) -> int:
    from amon.module import Registry
    from site_agent.reference import configuration_reference

    sys.stdout.write(configuration_reference(Registry()))
    return OK


if __name__ == "__main__":
    # `python -m` puts the current directory first (sys.path, PYTHONSAFEPATH): what lies there is nobody's module.
    if not sys.flags.safe_path:
        sys.path[:1] = []
    sys.exit(main())
