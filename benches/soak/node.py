"""What the programs of `make soak` share: a node of their own, asked from outside."""

import argparse
import ctypes
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


class Failed(Exception):
    """Told in one line, without a trace."""


def say(words: str):
    print(words, file=sys.stderr, flush=True)


class Node:
    """A node on ports of its own; ends with this program. Its tenants are in `folder` already, `settings` are more TOML."""

    def __init__(self, binary: Path, folder: Path, patience: float, settings: str = ""):
        self.ports = dict(zip(("edge", "control", "metrics"), free_ports(3), strict=True))
        listeners = "".join(f'[listeners.{name}]\nbind = ["127.0.0.1:{port}"]\n' for name, port in self.ports.items())
        (folder / "portcullis.toml").write_text(f'{listeners}[log]\naccess = "off"\n{settings}')
        self.log = folder / "node.log"
        began = time.monotonic()
        with self.log.open("ab") as log:
            command = [binary, "serve", "--config", folder / "portcullis.toml"]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=end_with_parent
            )
        self.await_ready(began + patience)
        self.start_took = time.monotonic() - began
        self.token = (folder / "data" / "bootstrap-token").read_text().strip()
        self.control = http.client.HTTPConnection("127.0.0.1", self.ports["control"], timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.control.close()
        self.process.terminate()
        self.process.wait(60)

    def await_ready(self, deadline: float):
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"the node ended by itself:\n{self.log.read_text(errors='replace')[-2000:]}")
            try:
                if send(self.ports["metrics"], "GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise Failed("the node was not ready in time")

    def ask(self, method: str, target: str, body=None) -> tuple[float, dict]:
        """Seconds, and the answer; anything but a success ends the program."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        began = time.perf_counter()
        self.control.request(method, target, body, headers)
        response = self.control.getresponse()
        text = response.read()
        took = time.perf_counter() - began
        if response.status not in (200, 201):
            raise Failed(f"{method} {target} answered {response.status}: {text[:500]!r}")
        return took, json.loads(text)

    def resident_mib(self) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
        return 0

    def cpu_seconds(self) -> float:
        """What the node has computed so far; a busy machine does not change it much."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def end_with_parent():
    """In the child before it starts: end with this program even when that is killed (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports that were free just now; held together so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def send(port: int, method: str, target: str, headers=None, body=None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def build(given: str | None, *target: str) -> Path:
    """The program of `target` (default: Portcullis itself), with the flags of `make bench`."""
    if given:
        return Path(given).resolve()
    command = ["cargo", "build", "--locked", "--profile", "bench", *(target or ("--bin", "portcullis"))]
    say("building: " + " ".join(command))
    command += ["--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        raise Failed(f"cargo ended with status {built.returncode}")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            return Path(message["executable"])
    raise Failed("cargo built no program")


BUILT = {
    "portcullis": "a binary that is built already",
    "upstream": "a built example `upstream`",
    "load": "a built example `soak_load`",
}


def program(words: str, *built: str) -> argparse.ArgumentParser:
    """A program of this description, which may be told where these of `BUILT` are; its own arguments are to be added."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in built:
        parser.add_argument(f"--{name}", metavar="FILE", help=BUILT[name])
    return parser


def in_folder(measure, arguments, where: str | None = None) -> int:
    """Runs `measure(arguments, folder)` in a folder that goes away with it: 1 where it says False, or something did not work,
    which is told in one line."""
    try:
        with tempfile.TemporaryDirectory(prefix="portcullis-soak-", dir=where) as folder:
            return 1 if measure(arguments, Path(folder)) is False else 0
    except (Failed, OSError, subprocess.SubprocessError, sqlite3.Error) as error:
        say(f"error: {error}")
        return 1


def start(main):
    """The program itself; Ctrl-C ends its nodes too, without a trace."""
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    os.umask(0o077)
    sys.exit(main())
