"""What an operator writes under `[instance.service.settings]`: the services, how each is run, checked, restarted."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from amon.fields import Field

NAME = r"[A-Za-z0-9][A-Za-z0-9_@.-]{0,63}"  # also the name of a directory: no slash, no leading dot


@dataclass(frozen=True, slots=True)
class Check:
    """Running is not healthy: one of `tcp`, `http`, `argv` asks the service itself."""

    tcp: Annotated[str, Field("connects to this host:port", example="127.0.0.1:80")] = ""
    http: Annotated[str, Field("GETs this address", example="http://127.0.0.1/")] = ""
    argv: Annotated[tuple[str, ...], Field("runs this program; exit status 0 is good")] = ()
    status: Annotated[int, Field("the one HTTP status that is good; 0 takes 200 to 399", least=0, most=599)] = 0
    ca: Annotated[str, Field("http: file with the only authorities its certificate may be from")] = ""
    timeout: Annotated[float, Field("a check that takes longer has failed", unit="s", least=0.05, most=300)] = 2
    every: Annotated[float, Field("time between checks", unit="s", least=0.5)] = 10
    failures: Annotated[int, Field("failures in a row before it counts; one success clears", least=1, most=1000)] = 3


@dataclass(frozen=True, slots=True)
class Restart:
    """When the agent restarts a service that nobody stopped, and when it leaves it to people."""

    automatic: Annotated[bool, Field("restart it when it fails or its check does")] = False
    limit: Annotated[int, Field("automatic restarts within `within` before giving up", least=1, most=1000)] = 3
    within: Annotated[float, Field("the time `limit` is counted over", unit="s", least=1)] = 600
    wait: Annotated[float, Field("wait before the first restart; doubles each time", unit="s", least=0)] = 1
    longest_wait: Annotated[float, Field("the wait doubles up to this", unit="s", least=0)] = 60
    stable: Annotated[float, Field("a run this long sets the wait back", unit="s", least=0)] = 60


@dataclass(frozen=True, slots=True)
class Service:
    """One service. A key whose meaning begins with the name of a driver is for that driver alone."""

    # Whether they are is looked at in problems.py.

    driver: Annotated[Literal["systemd", "process", "command"], Field("who runs it")]

    unit: Annotated[str, Field("systemd: the unit", example="apache2.service")] = ""

    argv: Annotated[tuple[str, ...], Field("process: the program, in the foreground, and its arguments")] = ()
    directory: Annotated[str, Field("process, command: the directory it runs in")] = "/"
    environment: Annotated[dict[str, str], Field("process, command: variables added to a minimal environment")] = field(
        default_factory=dict
    )
    begin: Annotated[bool, Field("process: started with the agent, unless a person stopped it")] = True
    log_limit: Annotated[int, Field("process, command: its log is cut back past this size", unit="B", least=4096)] = (
        8 * 1024 * 1024
    )

    start_argv: Annotated[tuple[str, ...], Field("command: starts it; exit status 0 is success")] = ()
    stop_argv: Annotated[tuple[str, ...], Field("command: stops it")] = ()
    status_argv: Annotated[
        tuple[str, ...], Field("command: exit status 0 up, 3 down, 1 and 2 failed, as init scripts")
    ] = ()
    restart_argv: Annotated[tuple[str, ...], Field("command: restarts it; stop and start where not given")] = ()

    log_file: Annotated[str, Field("where it logs, if not where its driver looks by itself")] = ""
    start_timeout: Annotated[float, Field("a start that takes longer is reported", unit="s", least=0.1, most=600)] = 30
    stop_timeout: Annotated[
        float, Field("process: killed after this; command: given up", unit="s", least=0.1, most=600)
    ] = 10
    settle: Annotated[
        float, Field("must live this long to count as started, its check good or not", unit="s", least=0, most=60)
    ] = 1
    poll: Annotated[float, Field("state looked at this often where nothing tells of changes", unit="s", least=1)] = 30
    check: Annotated[Check | None, Field("how to ask whether it works")] = None
    restart: Annotated[Restart, Field("automatic restart")] = Restart()


@dataclass(frozen=True, slots=True)
class Settings:
    services: Annotated[dict[str, Service], Field("the services by name")] = field(default_factory=dict)
    manager: Annotated[Literal["system", "user"], Field("which systemd the units belong to")] = "system"
    bus: Annotated[str, Field("D-Bus address, where it is not the usual one")] = ""
