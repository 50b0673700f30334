#!/usr/bin/env python3
"""`make soak`: five hundred slow headers, five hundred slow bodies and resets, beside honest callers, on this machine.

Attackers drip a byte a second: heads that never end, bodies behind a good token, bodies behind a bad one. Whoever is
closed comes back at once. Others reset their connections within heads, bodies and answers. Prints how the honest fared, how
long an attacker lived at most, and what the node holds before and half a minute after, beside the bars of the project: 99.9 %
of the honest are served, no attacker lives longer than 15 s, descriptors and memory come back.

Exit status: 0 with the figures, bars met or missed; 1 when something did not work; 2 for a bad argument.
Needs Python 3.
"""

import argparse
import asyncio
import os
import resource
import socket
import statistics
import struct
import time
from pathlib import Path

from node import Failed, Node, build, free_ports, in_folder, program, say, send, start

HOST = "gate.soak"
KEYS = "/v1/organizations/soak/environments/e0/keys"
TENANT = """\
[organization]
id = "soak"
[environments.e0]
base_url = "http://{host}/e0"
upstream = "http://127.0.0.1:{upstream}"
[environments.e0.permissions]
"things:use" = ["GET /things/{{id}}", "PUT /things/{{id}}"]
"""
BODY = b"x" * 1024
# How long the last closed connection may take to be seen, and what an attacker may live.
PATIENCE, LONGEST_LIFE = 10, 15


async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
    """Reads each request whole and answers it."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
            await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + BODY)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


class Scene:
    """What all callers share: where to go, with what, until when, and what they found."""

    def __init__(self, arguments: argparse.Namespace, port: int, token: str):
        self.arguments, self.port, self.token = arguments, port, token
        self.ends = 0.0
        self.served = self.failed = 0
        self.times: list[float] = []
        self.why: dict[str, int] = {}
        # The longest life of each kind, and how many were closed.
        self.lives: dict[str, list[float]] = {}
        self.resets = 0

    def over(self) -> bool:
        return time.monotonic() >= self.ends

    def head(self, method: str, token: str, fields: str = "") -> bytes:
        line = f"{method} /e0/things/1 HTTP/1.1\r\nHost: {HOST}\r\n"
        return f"{line}Authorization: Bearer {token}\r\n{fields}".encode()


async def honest(scene: Scene, number: int):
    """Asks ten times a second; every fifth time on a connection of its own, every fourth time with a body."""
    streams = None
    count = number
    while not scene.over():
        count += 1
        began = time.monotonic()
        try:
            if streams is None:
                streams = await asyncio.open_connection("127.0.0.1", scene.port)
            reader, writer = streams
            if count % 4:
                writer.write(scene.head("GET", scene.token) + b"\r\n")
            else:
                writer.write(scene.head("PUT", scene.token, "Content-Length: 1024\r\n") + b"\r\n" + BODY)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            status = int(answer[9:12])
            length = next(int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await asyncio.wait_for(reader.readexactly(length), 10)
            if status != 200:
                raise Failed(f"{status}")
            scene.served += 1
            scene.times.append(time.monotonic() - began)
            if count % 5 == 0 or b"\r\nconnection: close" in answer.lower():
                writer.close()
                streams = None
        except (OSError, Failed, EOFError, asyncio.TimeoutError, StopIteration) as error:
            scene.failed += 1
            why = f"{type(error).__name__} {error}"[:80]
            scene.why[why] = scene.why.get(why, 0) + 1
            if streams:
                streams[1].close()
            streams = None
        await asyncio.sleep(max(0.0, 0.1 - (time.monotonic() - began)))


async def drip(scene: Scene, kind: str, start: bytes, endless: bytes):
    """Opens a connection, says `start`, then a byte a second, until it is closed; and again."""
    while not scene.over():
        began = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
        except OSError:
            await asyncio.sleep(0.5)
            continue
        closed = asyncio.ensure_future(ended(reader))
        try:
            writer.write(start)
            at = 0
            while not closed.done() and time.monotonic() < scene.ends + PATIENCE:
                await asyncio.wait([closed], timeout=1)
                writer.write(endless[at % len(endless):][:1])
                at += 1
        except OSError:
            pass
        life = time.monotonic() - began
        # Who was not closed by the time that the test is over has lived so long, and no longer is known.
        if closed.done() or life > LONGEST_LIFE:
            scene.lives.setdefault(kind, []).append(life)
        closed.cancel()
        writer.close()


async def ended(reader: asyncio.StreamReader):
    """Returns when the other side has closed."""
    try:
        while await reader.read(4096):
            pass
    except OSError:
        pass


async def reset(scene: Scene):
    """Breaks connections off hard: within a head, within a body, before the answer."""
    parts = (
        scene.head("GET", scene.token)[:40],
        scene.head("GET", scene.token) + b"\r\n",
        scene.head("PUT", scene.token, "Content-Length: 100000\r\n") + b"\r\n" + BODY,
        scene.head("PUT", "x", "Content-Length: 100000\r\n") + b"\r\n" + BODY,
    )
    while not scene.over():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", scene.port)
            writer.write(parts[scene.resets % len(parts)])
            await writer.drain()
            await asyncio.sleep(0.01)
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            scene.resets += 1
        except OSError:
            pass
        await asyncio.sleep(0.05)


def attackers(scene: Scene) -> list:
    body = "Content-Length: 1000000\r\n"
    good, bad = (scene.head("PUT", token, body) + b"\r\n" for token in (scene.token, "x"))
    slow = [drip(scene, "heads", scene.head("GET", scene.token), b"X-Slow: y\r\n") for _ in range(scene.arguments.heads)]
    half = scene.arguments.bodies // 2
    slow += [drip(scene, "bodies, good token", good, b"x") for _ in range(half)]
    slow += [drip(scene, "bodies, bad token", bad, b"x") for _ in range(scene.arguments.bodies - half)]
    return slow + [reset(scene) for _ in range(4)]


async def phase(scene: Scene, seconds: float, attacked: bool):
    scene.ends = time.monotonic() + seconds
    calls = [honest(scene, number) for number in range(scene.arguments.honest)]
    await asyncio.gather(*calls, *(attackers(scene) if attacked else []))


def held(node: Node) -> tuple[int, int]:
    """Descriptors and MiB."""
    return len(os.listdir(f"/proc/{node.process.pid}/fd")), node.resident_mib()


def make_token(node: Node) -> str:
    _, key = node.ask("POST", KEYS, {"name": "slow", "permissions": ["things:use"]})
    form = f"grant_type=client_credentials&client_id={key['client_id']}&client_secret={key['client_secret']}"
    headers = {"Host": HOST, "Content-Type": "application/x-www-form-urlencoded"}
    status, body = send(node.ports["edge"], "POST", "/e0/oauth2/token", headers, form)
    if status != 200:
        raise Failed(f"the token endpoint answered {status}: {body[:500]!r}")
    return body.decode().split('"access_token":"')[1].split('"')[0]


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def row(name: str, scene: Scene):
    total, times = scene.served + scene.failed, sorted(scene.times) or [0.0]
    p99 = times[int(len(times) * 0.99)] * 1000
    print(f"{name}: {total} honest requests, {scene.failed} failed, p99 {p99:.0f} ms, longest {times[-1] * 1000:.0f} ms")


async def measure_all(arguments: argparse.Namespace, node: Node, upstream_port: int):
    server = await asyncio.start_server(upstream, "127.0.0.1", upstream_port)
    token = make_token(node)
    calm = Scene(arguments, node.ports["edge"], token)
    await phase(calm, 5, attacked=False)
    row("alone", calm)
    before = held(node)
    scene = Scene(arguments, node.ports["edge"], token)
    await phase(scene, arguments.seconds, attacked=True)
    row("attacked", scene)
    for why, count in scene.why.items():
        print(f"  {count} x {why}")
    share = scene.served / max(1, scene.served + scene.failed)
    print(f"honest success {share:.4%}   bar 99.9 %: {verdict(share >= 0.999)}")
    for kind, lives in sorted(scene.lives.items()):
        longest = max(lives)
        words = f"{kind}: {len(lives)} closed, median life {statistics.median(lives):.1f} s, longest {longest:.1f} s"
        print(f"{words}   bar {LONGEST_LIFE} s: {verdict(longest <= LONGEST_LIFE)}")
    await asyncio.sleep(arguments.rest)
    after = held(node)
    back = after[0] <= before[0] + 16, after[1] <= before[1] * 1.1 + 16
    print(f"{scene.resets} resets; descriptors {before[0]} before, {after[0]} after: {verdict(back[0])}; "
          f"resident {before[1]} MiB before, {after[1]} MiB after: {verdict(back[1])}")
    server.close()


def measure(arguments: argparse.Namespace, folder: Path):
    binary = build(arguments.portcullis)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    (upstream_port,) = free_ports(1)
    (folder / "tenants").mkdir()
    (folder / "tenants" / "soak.toml").write_text(TENANT.format(host=HOST, upstream=upstream_port))
    with Node(binary, folder, 60) as node:
        say(f"{arguments.heads} slow heads, {arguments.bodies} slow bodies, {arguments.seconds} s")
        asyncio.run(measure_all(arguments, node, upstream_port))


def main() -> int:
    parser = program(__doc__, "portcullis")
    parser.add_argument("--heads", type=int, default=500, help="slow heads (default 500)")
    parser.add_argument("--bodies", type=int, default=500, help="slow bodies, half with a good token (default 500)")
    parser.add_argument("--honest", type=int, default=10, help="honest callers, ten requests a second each (default 10)")
    parser.add_argument("--seconds", type=int, default=60, help="of attack (default 60)")
    parser.add_argument("--rest", type=int, default=30, help="seconds until the node is looked at again (default 30)")
    arguments = parser.parse_args()
    if min(arguments.honest, arguments.seconds) < 1 or min(arguments.heads, arguments.bodies, arguments.rest) < 0:
        parser.error("--honest and --seconds are 1 at least, the others 0")
    return in_folder(measure, arguments)


if __name__ == "__main__":
    start(main)
