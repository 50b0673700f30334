#!/usr/bin/env python3
"""`make soak`: ten thousand environments on one node beside one environment on another, on the machine this runs on.

Both nodes have the same number of keys, and as many of them are in use. Both are loaded in turn, A B A B, and the CPU of
the node a request is compared: the bar of the project is 10 %. Prints as well how long the start and reloads took
(one that finds nothing new, one that finds a changed environment) and what the node holds in memory.

Exit status: 0 with the figures, the bar met or missed; 1 when something did not work; 2 for a bad argument.
Needs Python 3 with SQLite 3.37 or newer, and wrk.
"""

import argparse
import json
import re
import shutil
import sqlite3
import statistics
import subprocess
import time
from pathlib import Path

from node import Failed, Node, build, end_with_parent, free_ports, in_folder, program, say, send, start

HOST = "gate.soak"
# Organizations have so many environments each.
A_FILE = 10
PERMISSIONS = ["cards:read", "cards:write", "files:read"]
ENVIRONMENT = """\
[environments.e{number}]
base_url = "http://{host}/{organization}/e{number}"
upstream = "http://127.0.0.1:{upstream}"
[environments.e{number}.permissions]
"cards:read" = ["GET /cards", "GET /cards/{{id}}"]
"cards:write" = "POST /cards"
"files:read" = "GET /files/{{path...}}"
[environments.e{number}.roles]
events = ["cards:read"]
"""


def write_tenants(folder: Path, environments: int, upstream: int):
    tenants = folder / "tenants"
    tenants.mkdir(parents=True)
    for first in range(0, environments, A_FILE):
        name = f"o{first // A_FILE}"
        text = f'[organization]\nid = "{name}"\n'
        for number in range(min(A_FILE, environments - first)):
            text += ENVIRONMENT.format(number=number, host=HOST, organization=name, upstream=upstream)
        (tenants / f"{name}.toml").write_text(text)


def place(environment: int) -> tuple[str, str]:
    return f"o{environment // A_FILE}", f"e{environment % A_FILE}"


def client_id(environment: int, key: int) -> str:
    return f"pcull_{environment:012d}{key:010d}"


def fill(file: Path, environments: int, keys: int):
    """Every environment gets so many copies of the one key that is there: all of them have its secret."""
    with sqlite3.connect(file) as store:
        store.row_factory = sqlite3.Row
        columns = [row[1] for row in store.execute("PRAGMA table_xinfo(api_keys)") if row[6] == 0]
        first = dict(store.execute("SELECT * FROM api_keys").fetchone())
        statement = f"INSERT INTO api_keys ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"

        def rows():
            for environment in range(environments):
                organization, name = place(environment)
                for key in range(keys):
                    own = {
                        "client_id": client_id(environment, key),
                        "organization": organization,
                        "environment": name,
                        "name": f"key {key}",
                        "name_folded": f"key {key}",
                    }
                    yield [own.get(column, first[column]) for column in columns]

        store.executemany(statement, rows())
        store.commit()
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()


class Side:
    """One of the two that are compared."""

    def __init__(self, folder: Path, binary: Path, environments: int, arguments: argparse.Namespace, upstream: int):
        self.folder = folder
        self.environments = environments
        self.keys = arguments.keys * arguments.environments // environments
        self.samples: list[float] = []
        write_tenants(folder, environments, upstream)
        with Node(binary, folder, patience=600) as node:
            path = "/v1/organizations/o0/environments/e0/keys"
            first = node.ask("POST", path, {"name": "first", "permissions": PERMISSIONS})[1]
        fill(folder / "data" / "portcullis.db", environments, self.keys)
        self.secret = first["client_secret"]
        self.node = Node(binary, folder, patience=600)
        self.began = f"{environments} environments: start {self.node.start_took:.2f} s, {self.node.resident_mib()} MiB"

    def reload(self, what: str) -> str:
        cpu = self.node.cpu_seconds()
        took = self.node.ask("POST", "/v1/reload")[0]
        return f"reload, {what}: {took:.3f} s, {self.node.cpu_seconds() - cpu:.2f} s of it computing"

    def change_one(self):
        file = self.folder / "tenants" / "o0.toml"
        file.write_text(file.read_text().replace('"POST /cards"', '["POST /cards", "PUT /cards"]', 1))

    def requests(self, count: int) -> list[dict]:
        """Requests with a token of another key each, spread over environments."""
        chosen = []
        for at in range(count):
            # The same places in the store's tree on both sides: neighbours there are cheaper to write than others.
            environment, key = divmod(at * self.environments * self.keys // count, self.keys)
            organization, name = place(environment)
            base = f"/{organization}/{name}"
            form = f"grant_type=client_credentials&client_id={client_id(environment, key)}&client_secret={self.secret}"
            headers = {"Host": HOST, "Content-Type": "application/x-www-form-urlencoded"}
            status, body = send(self.node.ports["edge"], "POST", f"{base}/oauth2/token", headers, form)
            if status != 200:
                raise Failed(f"the token endpoint answered {status}: {body[:300]!r}")
            chosen.append({"path": f"{base}/cards/{at}", "token": json.loads(body)["access_token"]})
        return chosen

    def write_script(self, requests: list[dict]) -> Path:
        lines = [
            f'wrk.format("GET", "{one["path"]}", {{Host="{HOST}", Authorization="Bearer {one["token"]}"}}),'
            for one in requests
        ]
        script = self.folder / "load.lua"
        made = "\n".join(lines)
        # In another order than they were made in, so that neighbours in memory are not asked one after the other.
        script.write_text(
            f"local all\ninit = function() all = {{\n{made}\n}} end\nlocal at = 0\n"
            "request = function() at = (at + 7919) % #all; return all[at + 1] end\n"
        )
        return script

    def load(self, script: Path, arguments: argparse.Namespace):
        port = self.node.ports["edge"]
        command = ["wrk", "-t", "1", "-c", "16", "-d", f"{arguments.seconds}s", "-s", script, f"http://127.0.0.1:{port}"]
        cpu = self.node.cpu_seconds()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        cpu = self.node.cpu_seconds() - cpu
        found = re.search(r"(\d+) requests in", done.stdout)
        if done.returncode or not found or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
            raise Failed(f"wrk: {done.stdout}{done.stderr}")
        self.samples.append(cpu / int(found.group(1)) * 1e6)


def measure(arguments: argparse.Namespace, folder: Path):
    binary = build(arguments.portcullis)
    upstream = build(arguments.upstream, "--example", "upstream")
    port = free_ports(1)[0]
    with subprocess.Popen([upstream, f"127.0.0.1:{port}"], preexec_fn=end_with_parent) as process:
        try:
            sides = [Side(folder / f"n{count}", binary, count, arguments, port) for count in (1, arguments.environments)]
            try:
                compare(sides, arguments)
            finally:
                for side in sides:
                    side.node.__exit__()
        finally:
            process.terminate()


def compare(sides: list[Side], arguments: argparse.Namespace):
    one, many = sides
    print(many.began)
    print(many.reload("nothing new"))
    many.change_one()
    print(many.reload("one environment changed"))
    scripts = []
    for side in sides:
        began = time.monotonic()
        scripts.append(side.write_script(side.requests(arguments.tokens)))
        say(f"{arguments.tokens} tokens in {time.monotonic() - began:.0f} s")
    for round_ in range(arguments.rounds + 1):
        for side, script in zip(sides, scripts, strict=True):
            side.load(script, arguments)
        if round_ == 0:
            one.samples.clear()
            many.samples.clear()
    ratios = [b / a for a, b in zip(one.samples, many.samples, strict=True)]
    for side in sides:
        print(f"{side.environments:>7} environments: {statistics.median(side.samples):.2f} us of CPU a request")
    ratio = statistics.median(ratios)
    print(f"ratio {ratio:.3f} ({', '.join(f'{one:.3f}' for one in ratios)})   bar 1.10: {'met' if ratio <= 1.1 else 'MISSED'}")


def main() -> int:
    parser = program(__doc__, "portcullis", "upstream")
    parser.add_argument("--environments", type=int, default=10_000, help="of the larger node (default 10000)")
    parser.add_argument("--keys", type=int, default=100, help="keys an environment of the larger node (default 100)")
    parser.add_argument("--tokens", type=int, default=10_000, help="tokens that are used in turn (default 10000)")
    parser.add_argument("--rounds", type=int, default=5, help="(default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="of load a slice (default 3)")
    arguments = parser.parse_args()
    if min(arguments.environments, arguments.keys, arguments.tokens, arguments.rounds, arguments.seconds) < 1:
        parser.error("all numbers are 1 at least")
    if not shutil.which("wrk"):
        say("error: wrk is not there")
        return 1
    return in_folder(measure, arguments)


if __name__ == "__main__":
    start(main)
