#!/usr/bin/env python3
"""`make bench`: what Portcullis costs per request beside its peers, on the machine this runs on.

Builds the peers with the gateway's own flags, starts them on loopback, checks that each does its job (answers with a
token, refuses without), then loads them in turn, A B C A B C, and prints CPU microseconds of the gateway process per
request and the ratios round by round. Only the ratios travel from one machine to another.

Exit status: 0 with the table, goal met or missed; 1 when something did not work; 2 for a bad argument.
Needs Python 3 and wrk; HAProxy and openssl are optional: a peer that is missing is named as missing.
"""

import argparse
import base64
import ctypes
import dataclasses
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent

HOST = "gate.bench"
BASE = f"http://{HOST}/v1/production"
PATH = "/v1/production/cards/42"
UPSTREAM_ANSWER = b'{"id":"42","from":"upstream"}\n'
# Not one of the declared operations.
OTHER_PATH = "/v1/production/secrets/42"
# Five networks for each gateway. The load comes from 127.0.0.1; REFUSED_ADDRESS is loopback too, but not in the list.
ALLOWLIST = ["203.0.113.42", "198.51.100.0/24", "192.0.2.0/24", "2001:db8::/32", "127.0.0.0/25"]
REFUSED_ADDRESS = "127.0.0.200"
PERMISSIONS = {
    "cards:read": ["GET /cards", "GET /cards/{id}"],
    "cards:write": ["POST /cards", "PATCH /cards/{id}"],
    "transactions:read": ["GET /cards/{id}/transactions"],
    "customers:read": ["GET /customers", "GET /customers/{id}"],
    "customers:delete": ["DELETE /customers/{id}"],
    "files:read": ["GET /files/{path...}"],
    "events:write": ["POST /events"],
}

READY_WITHIN = 30.0
MAX_LOAD_SECONDS = 2400  # access tokens live an hour


class Failed(Exception):
    """Something did not work; the run ends with its message."""


@dataclasses.dataclass
class Goal:
    """At most `now` times the peer's cost; `final` is where the design wants it in the end."""

    now: float
    final: float


@dataclasses.dataclass
class Peer:
    """A gateway under load. `samples` holds one (CPU microseconds, requests a second) pair a round."""

    name: str
    process: subprocess.Popen
    port: int
    token: str
    goal: Goal | None = None
    samples: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    def cpu(self) -> list[float]:
        return [cpu for cpu, _ in self.samples]


class Children:
    """Every process of a run, their output in files of `folder`, all ended on the way out."""

    def __init__(self, folder: Path, pin: bool):
        self.folder = folder
        self.started: list[tuple[str, subprocess.Popen]] = []
        cpus = sorted(os.sched_getaffinity(0))
        if pin and len(cpus) < 2:
            raise Failed("--pin needs two CPUs")
        self.gateway_cpus = {cpus[-1]} if pin else None
        self.load_cpus = set(cpus[:-1]) if pin else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _, process in self.started:
            process.terminate()
        deadline = time.monotonic() + 2
        for _, process in self.started:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, name: str, command: list, cpus: set | None, environment: dict | None = None) -> subprocess.Popen:
        with open(self.log(name), "wb") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                preexec_fn=lambda: settle(cpus),
            )
        self.started.append((name, process))
        return process

    def log(self, name: str) -> Path:
        return self.folder / (re.sub(r"[^a-z0-9]+", "-", name.lower()) + ".log")

    def check(self):
        """Fails if any process has ended."""
        for name, process in self.started:
            if process.poll() is not None:
                words = self.log(name).read_text(errors="replace")[-2000:]
                raise Failed(f"{name} ended by itself with status {process.returncode}; its last words:\n{words}")

    def wait_for(self, what: str, ready: Callable[[], bool]):
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            self.check()
            try:
                if ready():
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)
        raise Failed(f"{what} was not ready within {READY_WITHIN:.0f} s")


def settle(cpus: set | None):
    """In a child before it starts: end with the driver even when the driver is killed (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if cpus:
        os.sched_setaffinity(0, cpus)


# --- Starting ---------------------------------------------------------------------------------------------------


def free_ports(count: int) -> list[int]:
    """Ports that were free just now; held together so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def listening(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def build(arguments: argparse.Namespace) -> dict[str, Path]:
    """The binaries given as arguments, and the rest from cargo: all in one build, with one set of flags."""
    given = {"portcullis": arguments.portcullis, "bare_pingora": arguments.bare, "upstream": arguments.upstream}
    unwanted = {"portcullis"} if "portcullis" in arguments.without else set()
    found = {name: Path(path).resolve() for name, path in given.items() if path}
    wanted = [name for name in given if name not in found and name not in unwanted]
    if not wanted:
        return found
    kinds = [part for name in wanted for part in (("--bin" if name == "portcullis" else "--example"), name)]
    command = ["cargo", "build", "--locked", "--profile", "bench", *kinds]
    say("building: " + " ".join(command))
    command += ["--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        raise Failed(f"cargo ended with status {built.returncode}")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            found.setdefault(message["target"]["name"], Path(message["executable"]))
    return found


def start_bare(children: Children, binary: Path, upstream_port: int) -> Peer:
    (port,) = free_ports(1)
    command = [binary, f"127.0.0.1:{port}", f"127.0.0.1:{upstream_port}"]
    process = children.start("bare pingora", command, children.gateway_cpus)
    children.wait_for("bare pingora", lambda: listening(port))
    # The others are sent a token, so this one is too: the same bytes to read for everybody.
    return Peer("bare pingora", process, port, haproxy_token("HS256", b"any"), Goal(now=1.15, final=1.05))


def start_portcullis(children: Children, binary: Path, upstream_port: int) -> Peer:
    edge, control, metrics = free_ports(3)
    conf = children.folder / "conf"
    write_portcullis_config(conf, edge, control, metrics, upstream_port)
    command = [binary, "serve", "--config", conf / "portcullis.toml"]
    process = children.start("Portcullis", command, children.gateway_cpus)
    children.wait_for("Portcullis", lambda: request(metrics, "GET", "/readyz")[0] == 200)
    token = portcullis_token(conf / "data", edge, control)
    return Peer("Portcullis, EdDSA", process, edge, token)


def write_portcullis_config(conf: Path, edge: int, control: int, metrics: int, upstream_port: int):
    (conf / "tenants").mkdir(parents=True)
    (conf / "portcullis.toml").write_text(f"""\
[node]
data_dir = "data"
[listeners.edge]
bind = ["127.0.0.1:{edge}"]
[listeners.control]
bind = ["127.0.0.1:{control}"]
[listeners.metrics]
bind = ["127.0.0.1:{metrics}"]
[store]
url = "sqlite:data/portcullis.db"
[secrets]
key_file = "data/secret.key"
[tenants]
dir = "tenants"
[edge]
workers = 1
[tokens]
algorithm = "EdDSA"
[log]
access = "off"
""")
    permissions = "\n".join(f"{json.dumps(name)} = {json.dumps(ops)}" for name, ops in PERMISSIONS.items())
    (conf / "tenants" / "bench.toml").write_text(f"""\
[organization]
id = "bench"
name = "Bench"
[environments.production]
base_url = "{BASE}"
upstream = "http://127.0.0.1:{upstream_port}"
[environments.production.permissions]
{permissions}
""")


def portcullis_token(data_dir: Path, edge: int, control: int) -> str:
    """A key made through the control API as an operator would, and an access token for it as its holder would."""
    operator = (data_dir / "bootstrap-token").read_text().strip()
    tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))
    wish = {
        "name": "bench",
        "permissions": list(PERMISSIONS),
        "expires_at": tomorrow,
        "allowlist": {"networks": ALLOWLIST},
    }
    status, _, body = request(
        control,
        "POST",
        "/v1/organizations/bench/environments/production/keys",
        {"Authorization": f"Bearer {operator}", "Content-Type": "application/json"},
        json.dumps(wish),
        host=f"127.0.0.1:{control}",
    )
    if status != 201:
        raise Failed(f"creating a key answered {status}: {body.decode(errors='replace')}")
    key = json.loads(body)
    form = {"grant_type": "client_credentials", "client_id": key["client_id"], "client_secret": key["client_secret"]}
    status, _, body = request(
        edge,
        "POST",
        "/v1/production/oauth2/token",
        {"Content-Type": "application/x-www-form-urlencoded"},
        urlencode(form),
    )
    if status != 200:
        raise Failed(f"asking for a token answered {status}: {body.decode(errors='replace')}")
    return json.loads(body)["access_token"]


def start_haproxy(children: Children, binary: str, version: str, algorithm: str, upstream_port: int) -> Peer:
    (port,) = free_ports(1)
    name = f"HAProxy {version}, {algorithm}"
    allowlist = children.folder / "allowlist.txt"
    allowlist.write_text("\n".join(ALLOWLIST) + "\n")
    if algorithm == "HS256":
        key = secrets.token_hex(32)
        signing, verifying = key.encode(), key
    else:
        signing, verifying = ec_keys(children.folder)
    environment = {
        "BENCH_PORT": str(port),
        "BENCH_UPSTREAM_PORT": str(upstream_port),
        "BENCH_ALG": algorithm,
        "BENCH_KEY": str(verifying),
        "BENCH_BASE": BASE,
        "BENCH_ALLOWLIST": str(allowlist),
    }
    command = [binary, "-db", "-f", HERE / "haproxy.cfg"]
    process = children.start(name, command, children.gateway_cpus, environment)
    children.wait_for(name, lambda: listening(port))
    check_haproxy_tokens(name, port, algorithm, signing)
    goal = Goal(1.00, 1.00) if algorithm == "HS256" else Goal(0.30, 0.30)
    return Peer(name, process, port, haproxy_token(algorithm, signing), goal)


# --- Tokens of our own, for HAProxy -----------------------------------------------------------------------------


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def haproxy_token(algorithm: str, key: bytes | Path, **changes) -> str:
    """An access token with the claims that Portcullis puts into its own (RFC 9068)."""
    now = int(time.time())
    client_id = "c" * 32
    claims = {"iss": BASE, "aud": BASE, "sub": client_id, "client_id": client_id, "iat": now, "exp": now + 3600}
    claims |= {"jti": secrets.token_hex(16), "secret_version": 1} | changes
    head = {"alg": algorithm, "typ": "at+jwt", "kid": "bench"}
    parts = [base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims)]
    text = ".".join(parts).encode()
    signature = hmac.digest(key, text, hashlib.sha256) if algorithm == "HS256" else es256(key, text)
    return ".".join([*parts, base64url(signature)])


def ec_keys(folder: Path) -> tuple[Path, Path]:
    private, public = folder / "ec.pem", folder / "ec.pub.pem"
    capture("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private))
    capture("openssl", "ec", "-in", str(private), "-pubout", "-out", str(public))
    return private, public


def es256(key: Path, text: bytes) -> bytes:
    """R and S of 32 bytes each (RFC 7518 section 3.4), out of the DER that openssl writes."""
    command = ["openssl", "dgst", "-sha256", "-sign", str(key)]
    der = subprocess.run(command, input=text, check=True, capture_output=True).stdout
    r_end = 4 + der[3]
    r, s = der[4:r_end], der[r_end + 2 : r_end + 2 + der[r_end + 1]]
    return b"".join(int.from_bytes(number, "big").to_bytes(32, "big") for number in (r, s))


# --- Does every peer do its job? --------------------------------------------------------------------------------


def request(port: int, method: str, path: str, headers: dict | None = None, body: str | None = None, **more):
    """One request on its own connection: status, headers, body. `host` and `source` may be given."""
    source = (more["source"], 0) if "source" in more else None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5, source_address=source)
    try:
        connection.request(method, path, body, {"Host": more.get("host", HOST), **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def expect(what: str, wanted: int, port: int, token: str | None, method="GET", path=PATH, **more):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    status, headers, body = request(port, method, path, headers, **more)
    if status != wanted:
        raise Failed(f"{what}: expected {wanted}, got {status}: {body.decode(errors='replace')}")
    if status == 200 and body != UPSTREAM_ANSWER:
        raise Failed(f"{what}: the answer is not the upstream's: {body!r}")
    if status != 200 and UPSTREAM_ANSWER in body:
        raise Failed(f"{what}: refused, but with the upstream's answer")


def check_peer(peer: Peer):
    """The 200 that is measured, and the refusals that make it worth something."""
    expect(f"{peer.name}, good token", 200, peer.port, peer.token)
    if peer.name == "bare pingora":
        return
    expect(f"{peer.name}, no token", 401, peer.port, None)
    wrong = 401 if peer.name.startswith("Portcullis") else 403
    expect(f"{peer.name}, wrong signature", wrong, peer.port, spoil(peer.token))
    expect(f"{peer.name}, other path", 403, peer.port, peer.token, path=OTHER_PATH)
    expect(f"{peer.name}, other method", 403, peer.port, peer.token, method="DELETE")
    expect(f"{peer.name}, other address", 403, peer.port, peer.token, source=REFUSED_ADDRESS)


def check_haproxy_tokens(name: str, port: int, algorithm: str, key: bytes | Path):
    """Tokens that only we can make, since the key is ours: every claim of haproxy.cfg counts."""
    bad = {"expired": {"exp": int(time.time()) - 5}, "no expiry": {"exp": None}}
    bad |= {"other issuer": {"iss": BASE + "x"}, "other audience": {"aud": BASE + "x"}}
    for what, changes in bad.items():
        expect(f"{name}, {what}", 403, port, haproxy_token(algorithm, key, **changes))


def spoil(token: str) -> str:
    """The same token with the first character of its signature changed."""
    head, claims, signature = token.split(".")
    return ".".join([head, claims, ("B" if signature[0] == "A" else "A") + signature[1:]])


# --- Measuring --------------------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """User and system time of a whole process, threads that have ended included, in nanosecond steps.

    The process CPU clock of clock_getcpuclockid(3); its number is a fixed function of the process id on Linux.
    """
    return time.clock_gettime((~pid << 3) | 2)


def load(peer: Peer, children: Children, wrk: str, arguments: argparse.Namespace) -> int:
    """Loads a peer for one slice and says how many requests it completed; anything but 2xx fails."""
    seconds = arguments.seconds
    command = [wrk, "-t", "1", "-c", str(arguments.connections), "-d", f"{seconds}s", "--timeout", "5s"]
    command += ["-H", f"Host: {HOST}", "-H", f"Authorization: Bearer {peer.token}"]
    command += [f"http://127.0.0.1:{peer.port}{PATH}"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=seconds + 20,
        check=False,
        preexec_fn=lambda: settle(children.load_cpus),
    )
    children.check()
    words = done.stdout + done.stderr
    count = re.search(r"^\s*(\d+) requests in ", words, re.MULTILINE)
    if done.returncode != 0 or not count or "Non-2xx" in words or "Socket errors" in words:
        raise Failed(f"wrk against {peer.name} (status {done.returncode}):\n{words}")
    if int(count[1]) < 100 * seconds:
        raise Failed(f"{peer.name} completed only {count[1]} requests in {seconds} s")
    return int(count[1])


def slice_of(peer: Peer, children: Children, wrk: str, arguments: argparse.Namespace) -> tuple[float, float]:
    before, began = cpu_seconds(peer.process.pid), time.monotonic()
    requests = load(peer, children, wrk, arguments)
    spent, elapsed = cpu_seconds(peer.process.pid) - before, time.monotonic() - began
    return spent * 1e6 / requests, requests / elapsed


def measure(peers: list[Peer], children: Children, wrk: str, arguments: argparse.Namespace):
    rounds = arguments.rounds + 1  # the first one warms up and does not count
    for number in range(rounds):
        for peer in peers:
            sample = slice_of(peer, children, wrk, arguments)
            if number > 0:
                peer.samples.append(sample)
        costs = "   ".join(f"{peer.name} {peer.cpu()[-1]:.2f}" for peer in peers if peer.samples)
        say(f"round {number} of {arguments.rounds}: {costs or 'warm-up'}")


# --- The table --------------------------------------------------------------------------------------------------


def table(peers: list[Peer], missing: list[str], arguments: argparse.Namespace) -> str:
    load_words = f"{arguments.connections} keep-alive connections, {arguments.rounds} rounds of {arguments.seconds} s"
    lines = [
        "CPU microseconds of the gateway process per request (user + system), one worker each",
        f"{load_words}, interleaved; {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}",
        "",
        f"{'peer':<38}{'min':>9}{'median':>9}{'max':>9}{'requests/s':>14}",
    ]
    for peer in peers:
        rate = statistics.median(rate for _, rate in peer.samples)
        lines.append(f"{peer.name:<38}{spread(peer.cpu())}{rate:>14.0f}")
    lines += [f"{name:<38}  missing: {why}" for name, why in (words.split(": ", 1) for words in missing)]
    lines += ["", f"{'ratio, round by round':<38}{'min':>9}{'median':>9}{'max':>9}  goal (median)"]
    ours = next((peer for peer in peers if peer.name.startswith("Portcullis")), None)
    if ours is None:
        lines.append("Portcullis was not measured: no ratios")
    for peer in peers if ours else []:
        if peer.goal is None:
            continue
        ratios = [a / b for a, b in zip(ours.cpu(), peer.cpu())]
        verdict = judged(statistics.median(ratios), peer.goal)
        lines.append(f"{'Portcullis / ' + peer.name:<38}{spread(ratios)}  {verdict}")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    return "".join(f"{value:>9.2f}" for value in (min(values), statistics.median(values), max(values)))


def judged(ratio: float, goal: Goal) -> str:
    now, final = ("met" if ratio <= limit else "missed" for limit in (goal.now, goal.final))
    later = f"; in the end {goal.final:.2f}: {final}" if goal.final != goal.now else ""
    return f"at most {goal.now:.2f}: {now}{later}"


# --- The run ----------------------------------------------------------------------------------------------------


def say(words: str):
    print(words, file=sys.stderr, flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portcullis", metavar="PATH", help="a built gateway (default: build it)")
    parser.add_argument("--bare", metavar="PATH", help="a built bare_pingora (default: build it)")
    parser.add_argument("--upstream", metavar="PATH", help="a built upstream (default: build it)")
    parser.add_argument("--haproxy", metavar="PATH", help="default: from PATH or the sbin folders")
    parser.add_argument("--wrk", metavar="PATH", help="default: from PATH")
    parser.add_argument("--without", action="append", default=[], choices=["portcullis", "haproxy", "haproxy-es256"])
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one to warm up (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a slice (default 3)")
    parser.add_argument("--connections", type=int, default=16, help="keep-alive connections (default 16)")
    parser.add_argument("--pin", action="store_true", help="gateways on the last CPU, load and upstream on the others")
    arguments = parser.parse_args()
    for name, low, high in (("rounds", 1, 100), ("seconds", 1, 60), ("connections", 1, 256)):
        if not low <= getattr(arguments, name) <= high:
            parser.error(f"--{name} is from {low} to {high}")
    if (arguments.rounds + 1) * arguments.seconds * 4 > MAX_LOAD_SECONDS:
        parser.error(f"more than {MAX_LOAD_SECONDS} s of load in all")
    return arguments


def find(given: str | None, name: str) -> str | None:
    return given or shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


def start_haproxies(children: Children, arguments: argparse.Namespace, port: int) -> tuple[list[Peer], list[str]]:
    peers, missing = [], []
    haproxy = find(arguments.haproxy, "haproxy")
    version = re.search(r"version (\d+\.\d+)", capture(haproxy, "-v"))[1] if haproxy else "2.6"
    for algorithm, option in (("HS256", "haproxy"), ("ES256", "haproxy-es256")):
        if option in arguments.without or "haproxy" in arguments.without:
            missing.append(f"HAProxy {version}, {algorithm}: left out by --without")
        elif not haproxy:
            missing.append(f"HAProxy {version}, {algorithm}: haproxy is not installed")
        elif algorithm == "ES256" and not find(None, "openssl"):
            missing.append(f"HAProxy {version}, {algorithm}: openssl is not installed")
        else:
            peers.append(start_haproxy(children, haproxy, version, algorithm, port))
    return peers, missing


def capture(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run(arguments: argparse.Namespace) -> str:
    wrk = find(arguments.wrk, "wrk")
    if not wrk:
        raise Failed("wrk is not installed (Debian package `wrk`)")
    binaries = build(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="portcullis-bench-") as folder,
        Children(Path(folder), arguments.pin) as children,
    ):
        (upstream_port,) = free_ports(1)
        children.start("upstream", [binaries["upstream"], f"127.0.0.1:{upstream_port}"], children.load_cpus)
        children.wait_for("upstream", lambda: listening(upstream_port))
        peers, missing = [start_bare(children, binaries["bare_pingora"], upstream_port)], []
        if "portcullis" in arguments.without:
            missing.append("Portcullis: left out by --without")
        else:
            peers.append(start_portcullis(children, binaries["portcullis"], upstream_port))
        others, others_missing = start_haproxies(children, arguments, upstream_port)
        peers += others
        missing += [*others_missing, "pingap 0.13, HS256: not in Debian, not driven here"]
        for peer in peers:
            check_peer(peer)
        say("every peer answers with its token and every gateway refuses without: " + ", ".join(p.name for p in peers))
        measure(peers, children, wrk, arguments)
        for peer in peers:
            check_peer(peer)
        return table(peers, missing, arguments)


def main() -> int:
    arguments = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("ended by a signal"))
    try:
        print(run(arguments))
    except (Failed, subprocess.SubprocessError, OSError, http.client.HTTPException) as failure:
        say(f"bench failed: {failure}")
        return 1
    except KeyboardInterrupt:
        say("bench interrupted")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
