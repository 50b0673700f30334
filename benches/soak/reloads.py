#!/usr/bin/env python3
"""`make soak`: a thousand reloads, five a second, while two thousand requests a second pass, on the machine this runs on.

Every reload finds changed files: a tenant file, and an OpenAPI document that all environments import, in turn with an
operation more and one less. Prints what callers noticed (requests that failed, connections that broke, the time of
answers without reloads and during them) and what the node holds in memory after the tenth and after the last reload,
beside the bars of the project: nothing fails, p99 at most doubles, memory stays within 10 %.

Exit status: 0 with the figures, bars met or missed; 1 when something did not work; 2 for a bad argument.
Needs Python 3.
"""

import argparse
import json
import subprocess
import threading
import time
from pathlib import Path

from node import Failed, Node, build, end_with_parent, free_ports, in_folder, program, say, send, start

HOST = "gate.soak"
KEYS = "/v1/organizations/soak/environments/e0/keys"
ENVIRONMENT = """\
[environments.e{number}]
base_url = "http://{host}/e{number}"
upstream = "http://127.0.0.1:{upstream}"
openapi = "api.json"
[environments.e{number}.platform_addresses]
networks = ["198.51.100.{last}"]
"""


class Files:
    """The configuration of a node, which changes with every number."""

    def __init__(self, folder: Path, arguments: argparse.Namespace, upstream: int):
        self.folder, self.arguments, self.upstream = folder / "tenants", arguments, upstream
        self.folder.mkdir()

    def write(self, number: int):
        """New files in the places of the old ones, as a deployment does it."""
        text = '[organization]\nid = "soak"\n'
        for environment in range(self.arguments.environments):
            text += ENVIRONMENT.format(number=environment, host=HOST, upstream=self.upstream, last=number % 250)
        paths = {f"/things/{at}/{{id}}": {"get": {"operationId": f"thing{at}"}} for at in range(self.arguments.operations)}
        if number % 2:
            paths["/more"] = {"get": {"operationId": "more"}}
        document = json.dumps({"openapi": "3.1.0", "info": {"title": f"Soak {number}"}, "paths": paths})
        for name, content in (("api.json", document), ("soak.toml", text)):
            new = self.folder / f".{name}.new"
            new.write_text(content)
            new.rename(self.folder / name)


class Load:
    """The load, and what it tells each second."""

    def __init__(self, program: Path, port: int, rate: int, token: str):
        self.process = subprocess.Popen(
            [program, f"127.0.0.1:{port}", str(rate)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=end_with_parent,
        )
        head = f"GET /e0/things/1/x HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n"
        self.process.stdin.write(head.replace("\r\n", "\\r\\n") + "\n")
        self.process.stdin.flush()
        self.seconds = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.seconds.append(json.loads(line))

    def take(self) -> list[dict]:
        """The seconds since it was asked last."""
        taken, self.seconds = self.seconds, []
        if not taken:
            raise Failed("the load tells nothing")
        return taken

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


def percentile(sorted_times: list[float], share: float) -> float:
    return sorted_times[min(len(sorted_times) - 1, int(len(sorted_times) * share))]


class Phase:
    """What callers noticed for a while."""

    def __init__(self, seconds: list[dict]):
        self.times = sorted(micros / 1000 for second in seconds for micros in second["micros"])
        self.failed = sum(second["failed"] for second in seconds)
        self.broken = sum(second["broken"] for second in seconds)
        if not self.times:
            raise Failed("no request was answered")

    def row(self, name: str) -> str:
        p50, p99, p999 = (percentile(self.times, share) for share in (0.5, 0.99, 0.999))
        counts = f"{len(self.times):>10}{self.failed:>8}{self.broken:>8}"
        return f"{name:<22}{counts}{p50:>10.2f}{p99:>10.2f}{p999:>10.2f}{self.times[-1]:>10.2f}"


def reload_often(node: Node, files: Files, arguments: argparse.Namespace) -> tuple[list[float], list[int]]:
    """Each reload's seconds, and the memory after each in MiB."""
    # A connection on which nothing was asked for ten seconds has been closed.
    node.control.close()
    times, memory, began = [], [], time.monotonic()
    for number in range(1, arguments.reloads + 1):
        files.write(number)
        took, answer = node.ask("POST", "/v1/reload")
        # None where the node had read the files by itself a moment before.
        if len(answer["changes"]) not in (0, arguments.environments):
            raise Failed(f"a reload changed {len(answer['changes'])} environments: {answer}")
        times.append(took)
        memory.append(node.resident_mib())
        time.sleep(max(0.0, began + number / arguments.per_second - time.monotonic()))
    return sorted(times), memory


def token_of(node: Node) -> str:
    key = node.ask("POST", KEYS, {"name": "caller", "permissions": ["thing1"]})[1]
    form = f"grant_type=client_credentials&client_id={key['client_id']}&client_secret={key['client_secret']}"
    headers = {"Host": HOST, "Content-Type": "application/x-www-form-urlencoded"}
    status, body = send(node.ports["edge"], "POST", "/e0/oauth2/token", headers, form)
    if status != 200:
        raise Failed(f"the token endpoint answered {status}: {body[:500]!r}")
    return json.loads(body)["access_token"]


def counted(metrics: str, result: str) -> int:
    name = f'portcullis_reloads_total{{result="{result}"}} '
    return sum(int(line.removeprefix(name)) for line in metrics.splitlines() if line.startswith(name))


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def measure(arguments: argparse.Namespace, folder: Path):
    programs = [build(arguments.portcullis)]
    for given, name in ((arguments.upstream, "upstream"), (arguments.load, "soak_load")):
        programs.append(build(given, "--example", name))
    binary, upstream, load = programs
    port = free_ports(1)[0]
    files = Files(folder, arguments, port)
    files.write(0)
    with subprocess.Popen([upstream, f"127.0.0.1:{port}"], preexec_fn=end_with_parent) as api:
        try:
            with Node(binary, folder, patience=60) as node:
                try:
                    run(node, files, load, arguments)
                except OSError as error:
                    raise Failed(f"{error}; the node ({node.process.poll()}) said last:\n{last_words(node)}") from error
        finally:
            api.terminate()


def last_words(node: Node) -> str:
    return node.log.read_text(errors="replace")[-2000:]


def run(node: Node, files: Files, program: Path, arguments: argparse.Namespace):
    load = Load(program, node.ports["edge"], arguments.rate, token_of(node))
    try:
        measure_load(node, files, load, arguments)
    finally:
        load.end()


def measure_load(node: Node, files: Files, load: Load, arguments: argparse.Namespace):
    say(f"warming up, then {arguments.idle} s without reloads")
    time.sleep(5)
    load.take()
    time.sleep(arguments.idle)
    idle = Phase(load.take())
    say(f"{arguments.reloads} reloads, {arguments.per_second} a second")
    began = time.monotonic()
    times, memory = reload_often(node, files, arguments)
    lasted = time.monotonic() - began
    during = Phase(load.take())
    say(f"{arguments.idle} s without reloads")
    time.sleep(arguments.idle)
    after = Phase(load.take())
    metrics = send(node.ports["metrics"], "GET", "/metrics")[1].decode()
    good, failed = (counted(metrics, result) for result in ("success", "failure"))
    print(f"{'milliseconds':<22}{'answers':>10}{'failed':>8}{'broken':>8}{'p50':>10}{'p99':>10}{'p99.9':>10}{'max':>10}")
    for name, phase in (("before", idle), ("during reloads", during), ("after", after)):
        print(phase.row(name))
    lost = sum(phase.failed + phase.broken for phase in (idle, during, after))
    print(f"\nnothing fails: {verdict(lost == 0)}")
    quiet = min(percentile(phase.times, 0.99) for phase in (idle, after))
    ratio = percentile(during.times, 0.99) / quiet
    print(f"p99 during reloads is {ratio:.2f} of that without   bar 2: {verdict(ratio <= 2)}")
    tenth, last = memory[min(9, len(memory) - 1)], memory[-1]
    grown = abs(last - tenth) / tenth
    between = ", ".join(str(memory[len(memory) * part // 8]) for part in range(1, 8))
    print(f"resident after the tenth {tenth} MiB, after the last {last} MiB (between: {between})   "
          f"bar 10 %: {verdict(grown <= 0.1)}")
    print(f"{good} reloads in {lasted:.0f} s, {len(times)} of them asked for, {failed} failed; "
          f"p50 {percentile(times, 0.5) * 1000:.1f} ms, p99 {percentile(times, 0.99) * 1000:.1f} ms")


def main() -> int:
    parser = program(__doc__, "portcullis", "upstream", "load")
    parser.add_argument("--reloads", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--per-second", type=float, default=5, help="reloads a second (default 5)")
    parser.add_argument("--rate", type=int, default=2000, help="requests a second (default 2000)")
    parser.add_argument("--idle", type=int, default=20, help="seconds without reloads, before and after (default 20)")
    parser.add_argument("--environments", type=int, default=20, help="environments (default 20)")
    parser.add_argument("--operations", type=int, default=300, help="operations of their document (default 300)")
    arguments = parser.parse_args()
    if min(arguments.reloads, arguments.rate, arguments.idle, arguments.environments) < 1 or arguments.operations < 2:
        parser.error("--reloads, --rate, --idle and --environments are 1 at least, --operations 2")
    if arguments.per_second <= 0:
        parser.error("--per-second is more than 0")
    return in_folder(measure, arguments)


if __name__ == "__main__":
    start(main)
