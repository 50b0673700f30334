#!/usr/bin/env python3
"""`make soak`: certificates that are swapped while callers shake hands without a pause, on the edge and on the control
listener of one node.

Each swap puts a new certificate and then its key in the places of the old ones, two files one after the other, as most
tools do it. Callers shake hands anew for every request. Prints how many handshakes and answers failed, and how long
each new certificate took to be shown by each listener, beside the bars of the project: none fails, one second.

Exit status: 0 with the figures, bars met or missed; 1 when something did not work; 2 for a bad argument.
Needs Python 3 and the program openssl.
"""

import argparse
import hashlib
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

from node import Failed, Node, build, in_folder, program, say, start

NAME = "gate.soak"
LISTENERS = ("edge", "control")
TENANT = f"""\
[organization]
id = "soak"
[environments.e0]
base_url = "https://{NAME}/e0"
upstream = "http://127.0.0.1:9"
[environments.e0.permissions]
"things:read" = "GET /things"
"""
# Answered without an upstream.
TARGETS = {"edge": "/e0/oauth2/jwks", "control": "/v1/openapi.json"}


def openssl(*arguments: str):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"openssl {arguments[0]}: {done.stderr.strip()[-500:]}")


class Certificates:
    """An authority, and as many certificates of the same name as are wanted."""

    def __init__(self, folder: Path, count: int):
        self.folder = folder
        self.authority = folder / "ca.pem"
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30")
        authority = (str(self.authority), str(folder / "ca.key"))
        openssl("req", "-x509", *new_key, "-subj", "/CN=soak", "-out", authority[0], "-keyout", authority[1])
        self.made = []
        for number in range(count):
            cert, key = folder / f"{number}.pem", folder / f"{number}.key"
            extensions = (f"subjectAltName=DNS:{NAME}", "basicConstraints=critical,CA:FALSE")
            added = [word for extension in extensions for word in ("-addext", extension)]
            signed = ("-CA", authority[0], "-CAkey", authority[1])
            openssl("req", "-x509", *new_key, *signed, "-subj", f"/CN={number}", *added, "-out", str(cert), "-keyout", str(key))
            digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert.read_text())).digest()
            self.made.append((cert.read_text(), key.read_text(), digest))

    def put(self, number: int) -> bytes:
        """New files in the places of the old ones; the digest of the certificate."""
        cert, key, digest = self.made[number]
        for name, text in (("live.pem", cert), ("live.key", key)):
            new = self.folder / f".{name}.new"
            new.write_text(text)
            new.rename(self.folder / name)
        return digest

    def callers(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)


def shown(context: ssl.SSLContext, port: int, request: bytes = b"") -> bytes:
    """The digest of the certificate that is shown; with a request the answer is read as well, and must be a 200."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        with context.wrap_socket(plain, server_hostname=NAME) as secure:
            if request:
                secure.sendall(request)
                answer = bytearray()
                while piece := secure.recv(65536):
                    answer += piece
                if not answer.startswith(b"HTTP/1.1 200 "):
                    raise Failed(f"an answer was {bytes(answer[:200])!r}")
            return hashlib.sha256(secure.getpeercert(binary_form=True)).digest()


class Caller(threading.Thread):
    """Shakes hands and asks, again and again."""

    def __init__(self, context: ssl.SSLContext, listener: str, port: int, stop: threading.Event):
        super().__init__(daemon=True)
        self.context, self.port, self.stop = context, port, stop
        head = f"GET {TARGETS[listener]} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"
        self.request, self.shaken, self.failures = head.encode(), 0, []
        self.start()

    def run(self):
        while not self.stop.is_set():
            try:
                shown(self.context, self.port, self.request)
                self.shaken += 1
            except (Failed, OSError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")


def await_shown(context: ssl.SSLContext, port: int, digest: bytes) -> float:
    """Seconds until a listener shows this certificate, thirty at most."""
    began = time.monotonic()
    while time.monotonic() < began + 30:
        if shown(context, port) == digest:
            return time.monotonic() - began
        time.sleep(0.005)
    raise Failed("a new certificate was never shown")


def swap_often(certificates: Certificates, node: Node, arguments: argparse.Namespace) -> dict[str, list[float]]:
    context, times = certificates.callers(), {listener: [] for listener in arguments.listeners}
    for number in range(1, arguments.swaps + 1):
        digest, waiting = certificates.put(number), []
        for listener in arguments.listeners:
            port, took = node.ports[listener], times[listener]
            waiter = threading.Thread(target=lambda p=port, t=took, d=digest: t.append(await_shown(context, p, d)))
            waiter.start()
            waiting.append(waiter)
        for waiter in waiting:
            waiter.join()
        if any(len(took) != number for took in times.values()):
            raise Failed(f"swap {number} was not shown everywhere")
        time.sleep(arguments.pause)
    return times


def measure(arguments: argparse.Namespace, folder: Path):
    binary = build(arguments.portcullis)
    say(f"making {arguments.swaps + 1} certificates")
    (folder / "tls").mkdir()
    certificates = Certificates(folder / "tls", arguments.swaps + 1)
    certificates.put(0)
    (folder / "tenants").mkdir()
    (folder / "tenants" / "soak.toml").write_text(TENANT)
    tls = 'certificates = [{ cert = "tls/live.pem", key = "tls/live.key" }]\n'
    settings = "".join(f"[listeners.{listener}.tls]\n{tls}" for listener in arguments.listeners)
    with Node(binary, folder, patience=60, settings=settings) as node:
        stop = threading.Event()
        callers = [
            Caller(certificates.callers(), listener, node.ports[listener], stop)
            for listener in arguments.listeners
            for _ in range(arguments.callers)
        ]
        say(f"{arguments.swaps} swaps while {len(callers)} callers shake hands")
        times = swap_often(certificates, node, arguments)
        stop.set()
        for caller in callers:
            caller.join(60)
    failures = [failure for caller in callers for failure in caller.failures]
    shaken = sum(caller.shaken for caller in callers)
    print(f"{shaken} handshakes and answers, {len(failures)} failed   bar 0: {verdict(not failures and shaken > 0)}")
    for failure in sorted(set(failures))[:5]:
        print(f"  {failure}")
    for listener, took in times.items():
        slowest, middle = max(took), sorted(took)[len(took) // 2]
        print(f"{listener}: {len(took)} swaps, shown after {middle:.2f} s (median), {slowest:.2f} s at most   "
              f"bar 1 s: {verdict(slowest <= 1)}")


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def main() -> int:
    parser = program(__doc__, "portcullis")
    parser.add_argument("--swaps", type=int, default=20, help="how many (default 20)")
    parser.add_argument("--callers", type=int, default=4, help="callers of each listener (default 4)")
    parser.add_argument("--pause", type=float, default=1, help="seconds between swaps (default 1)")
    parser.add_argument("--listeners", nargs="+", choices=LISTENERS, default=LISTENERS, help="default: both")
    arguments = parser.parse_args()
    if min(arguments.swaps, arguments.callers) < 1 or arguments.pause < 0:
        parser.error("--swaps and --callers are 1 at least, --pause is not negative")
    return in_folder(measure, arguments)


if __name__ == "__main__":
    start(main)
