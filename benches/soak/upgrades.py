#!/usr/bin/env python3
"""`make soak`: binary upgrades under load, good ones and failing ones in turn, on the machine this runs on.

A good one puts a new process in the place of the one that serves. A failing one breaks off somewhere: it exits at once,
refuses its configuration, exits with the listening sockets in its hands, hangs, says garbage, is killed while it loads or
waits for its turn, or does not serve when it is told to go. Meanwhile requests pass on connections that are kept and on new
ones, and one download and one upgraded connection that began with the first process go on to the end.

Exit status: 0 where no request failed and every upgrade ended as it should; 1 otherwise; 2 for a bad argument.
Needs Python 3.
"""

import argparse
import json
import os
import random
import re
import signal
import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path

from node import Failed, Node, build, end_with_parent, free_ports, in_folder, program, say, send, start
from reloads import Load, Phase

HOST = "gate.soak"
KEYS = "/v1/organizations/soak/environments/{}/keys"
TENANT = """\
[organization]
id = "soak"
[environments.e0]
base_url = "http://{host}/e0"
upstream = "http://127.0.0.1:{upstream}"
[environments.long]
base_url = "http://{host}/long"
upstream = "http://127.0.0.1:{long}"
"""
SETTINGS = '[edge]\ndrain_timeout = "1h"\n'


class Long(socketserver.StreamRequestHandler):
    """Answers that last: a download in chunks until told to end, and bytes sent back on an upgraded connection."""

    over = threading.Event()

    def handle(self):
        target = self.rfile.readline().split()[1]
        while self.rfile.readline().strip():
            pass
        if target == b"/download":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not self.over.wait(0.2):
                self.wfile.write(b"5\r\nchunk\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while byte := self.connection.recv(1):
            self.connection.sendall(byte)


class LongCallers:
    """Whoever calls for those answers, once."""

    def __init__(self, port: int, token: str):
        self.download = self.connect(port, token, "/long/download", "")
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        self.socket = self.connect(port, token, "/long/socket", upgrade)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1) or self.lost("the upgraded connection")
        if b" 101 " not in head:
            raise Failed(f"no upgrade: {head!r}")
        self.got = bytearray()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    @staticmethod
    def connect(port: int, token: str, target: str, more: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        head = f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        connection.sendall(head.encode())
        return connection

    @staticmethod
    def lost(what: str):
        raise Failed(f"{what} was cut")

    def read(self):
        try:
            while piece := self.download.recv(65536):
                self.got += piece
                if self.got.endswith(b"0\r\n\r\n"):
                    return
        except OSError as error:
            say(f"the download: {error}")

    def echo(self):
        self.socket.sendall(b"x")
        if self.socket.recv(1) != b"x":
            self.lost("the upgraded connection")

    def end(self) -> int:
        """Chunks of the download, which ended as a whole."""
        Long.over.set()
        self.reader.join(30)
        self.socket.close()
        if not self.got.endswith(b"0\r\n\r\n"):
            self.lost("the download")
        return self.got.count(b"chunk")


class Fake:
    """A successor that speaks the handshake itself."""

    def __init__(self, folder: Path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(30)
        self.socket.connect(str(folder / "data" / "node.sock"))
        self.file = self.socket.makefile("rb")

    def say(self, **words):
        self.socket.sendall(json.dumps(words).encode() + b"\n")

    def hello(self, within_ms: int = 60_000):
        self.say(say="hello", protocol=1, version="soak", pid=os.getpid(), within_ms=within_ms)
        self.hear("sockets")

    def hear(self, word: str):
        said = json.loads(self.file.readline() or b"{}")
        if said.get("say") != word:
            raise Failed(f"the node was to say `{word}` and said {said}")

    def close(self):
        self.file.close()
        self.socket.close()


class Upgrades:
    """Good ones and failing ones of one node."""

    def __init__(self, node: Node, binary: Path, folder: Path, dice: random.Random):
        self.node, self.binary, self.folder, self.dice = node, binary, folder, dice
        self.config = folder / "portcullis.toml"
        self.successors, self.took = [], []
        self.kinds = [self.exits_at_once, self.refuses_its_configuration, self.exits_with_the_sockets, self.hangs,
                      self.says_garbage, self.is_killed, self.dies_in_probation, self.does_not_serve]

    def upgrade(self, *more) -> tuple[int, str]:
        command = [self.binary, "upgrade", "--config", self.config, *more]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return ended.returncode, ended.stderr

    def good(self):
        began = time.monotonic()
        code, words = self.upgrade()
        pid = re.search(r"process (\d+) has taken over", words)
        if code != 0 or not pid:
            raise Failed(f"an upgrade ended with {code}: {words}")
        self.took.append(time.monotonic() - began)
        self.successors.append(int(pid[1]))

    def failing(self, number: int) -> str:
        kind = self.kinds[number % len(self.kinds)]
        kind()
        return kind.__name__.replace("_", " ")

    def expect_failure(self, *more):
        code, words = self.upgrade(*more)
        if code != 1:
            raise Failed(f"an upgrade that had to fail ended with {code}: {words}")

    def exits_at_once(self):
        self.expect_failure("--binary", "/bin/false")

    def refuses_its_configuration(self):
        text = self.config.read_text()
        self.config.write_text(text + "[nonsense]\n")
        self.expect_failure()
        self.config.write_text(text)

    def exits_with_the_sockets(self):
        fake = Fake(self.folder)
        fake.hello()
        fake.close()

    def hangs(self):
        fake = Fake(self.folder)
        fake.hello(within_ms=500)
        fake.hear("refused")
        fake.close()

    def says_garbage(self):
        fake = Fake(self.folder)
        fake.socket.sendall(self.dice.randbytes(200) + b"\n")
        fake.hear("refused")
        fake.close()

    def is_killed(self):
        command = [self.binary, "serve", "--take-over", "--config", self.config]
        with (self.folder / "killed.log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        # Its turn is a second after it is ready.
        time.sleep(self.dice.uniform(0, 0.9))
        process.kill()
        process.wait()
        if b"listening edge=" in (self.folder / "killed.log").read_bytes():
            raise Failed("it had its turn before it was killed")

    def dies_in_probation(self):
        fake = Fake(self.folder)
        fake.hello()
        fake.say(say="ready")
        time.sleep(self.dice.uniform(0, 0.8))
        fake.close()

    def does_not_serve(self):
        fake = Fake(self.folder)
        fake.hello()
        fake.say(say="ready")
        fake.hear("go")
        fake.close()

    def end(self):
        for pid in self.successors:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def token_of(node: Node, environment: str) -> str:
    key = node.ask("POST", KEYS.format(environment), {"name": "caller", "permissions": ["api:read"]})[1]
    form = f"grant_type=client_credentials&client_id={key['client_id']}&client_secret={key['client_secret']}"
    headers = {"Host": HOST, "Content-Type": "application/x-www-form-urlencoded"}
    status, body = send(node.ports["edge"], "POST", f"/{environment}/oauth2/token", headers, form)
    if status != 200:
        raise Failed(f"the token endpoint answered {status}: {body[:500]!r}")
    return json.loads(body)["access_token"]


def measure(arguments: argparse.Namespace, folder: Path) -> bool:
    binary = build(arguments.portcullis)
    upstream, load = (build(given, "--example", name)
                      for given, name in ((arguments.upstream, "upstream"), (arguments.load, "soak_load")))
    port = free_ports(1)[0]
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Long) as long:
        threading.Thread(target=long.serve_forever, daemon=True).start()
        (folder / "tenants").mkdir()
        tenant = TENANT.format(host=HOST, upstream=port, long=long.server_address[1])
        (folder / "tenants" / "soak.toml").write_text(tenant)
        with subprocess.Popen([upstream, f"127.0.0.1:{port}"], preexec_fn=end_with_parent) as api:
            try:
                with Node(binary, folder, 60, SETTINGS) as node:
                    return run(node, binary, load, folder, arguments)
            finally:
                api.terminate()
                long.shutdown()


def run(node: Node, binary: Path, program: Path, folder: Path, arguments: argparse.Namespace) -> bool:
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(32)
    say(f"seed {seed}")
    upgrades = Upgrades(node, binary, folder, random.Random(seed))
    callers = LongCallers(node.ports["edge"], token_of(node, "long"))
    load = Load(program, node.ports["edge"], arguments.rate, token_of(node, "e0"))
    try:
        time.sleep(2)
        load.take()
        kinds = {}
        began = time.monotonic()
        for number in range(arguments.upgrades):
            upgrades.good()
            callers.echo()
            kind = upgrades.failing(number)
            kinds[kind] = kinds.get(kind, 0) + 1
            callers.echo()
            say(f"{number + 1} good, {number + 1} failing ({kind})")
        lasted = time.monotonic() - began
        time.sleep(2)
        during = Phase(load.take())
        chunks = callers.end()
        return tell(upgrades, kinds, during, chunks, lasted, folder)
    finally:
        load.end()
        upgrades.end()


def tell(upgrades: Upgrades, kinds: dict, during: Phase, chunks: int, lasted: float, folder: Path) -> bool:
    words = (folder / "node.log").read_text(errors="replace")
    went_on = words.count("this node goes on serving")
    took = sorted(upgrades.took)
    print(f"{'milliseconds':<22}{'answers':>10}{'failed':>8}{'broken':>8}{'p50':>10}{'p99':>10}{'p99.9':>10}{'max':>10}")
    print(during.row("during upgrades"))
    print(f"\n{len(took)} good upgrades, each {took[0]:.1f} to {took[-1]:.1f} s (median {took[len(took) // 2]:.1f} s); "
          f"{sum(kinds.values())} failing ones, of which the node noticed {went_on} and went on; {lasted:.0f} s in all")
    for kind, count in sorted(kinds.items()):
        print(f"  {count:>3} {kind}")
    print(f"a download and an upgraded connection went through all of them ({chunks} chunks)")
    lost = during.failed + during.broken
    print(f"failed requests: {lost}   bar 0: {'met' if lost == 0 else 'MISSED'}")
    return lost == 0


def main() -> int:
    parser = program(__doc__, "portcullis", "upstream", "load")
    parser.add_argument("--upgrades", type=int, default=20, help="good ones, and as many failing ones (default 20)")
    parser.add_argument("--rate", type=int, default=500, help="requests a second (default 500)")
    parser.add_argument("--seed", type=int, help="of moments and garbage, to run a failed one again")
    arguments = parser.parse_args()
    if min(arguments.upgrades, arguments.rate) < 1:
        parser.error("--upgrades and --rate are 1 at least")
    return in_folder(measure, arguments)


if __name__ == "__main__":
    start(main)
