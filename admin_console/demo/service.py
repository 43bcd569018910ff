"""A tiny service for the demo's agents to look after; a program of its own, run by their `process` driver.

It serves its name over HTTP on one port. It ends when the process of the demo is gone, however that went: pidfd_open(2)
is readable then. With --breaks-once it fails at its first start and is well from the second on, as after a crash that
left a lock behind.
"""

import argparse
import os
import select
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Says that it is there."""

    def do_GET(self) -> None:
        body = b"at your service\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass  # the checks would fill the log


class Server(ThreadingHTTPServer):
    """Listens on the port that the demo holds for it."""

    allow_reuse_port = True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("port", type=int)
    parser.add_argument("--until", type=int, required=True, metavar="PID")
    parser.add_argument("--breaks-once", type=Path, metavar="FILE")
    options = parser.parse_args()
    try:
        demo = os.pidfd_open(options.until)
    except ProcessLookupError:
        return 0
    lock: Path | None = options.breaks_once
    if lock is not None and not lock.exists():
        lock.touch()
        print(f"{options.name}: recovering from a crash")
        print(f"{options.name}: found the lock of a run that is gone; removed it, giving up for now", flush=True)
        return 3
    with Server(("127.0.0.1", options.port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"{options.name}: serving", flush=True)
        select.select([demo], [], [])
        server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
