#!/usr/bin/env python3
"""`make soak`: how the control API keeps up with a million keys in the store, on the machine this runs on.

Starts a node, makes one key by the API, multiplies its row in the store file until there are a million, starts the node
again and times, from outside and one after the other over one connection: creating, rotating, revoking, and listing 50
keys in several ways. Prints percentiles beside the bars of the project (99 % of changes under 20 ms, a list under 10 ms,
a start under 5 s). Figures include this program's own share, a fraction of a millisecond; the
CPU column is the node's alone, in milliseconds a request.

Exit status: 0 with the table, bars met or missed; 1 when something did not work; 2 for a bad argument.
Needs Python 3 with SQLite 3.37 or newer.
"""

import argparse
import sqlite3
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from node import Failed, Node, build, in_folder, program, say, send, start

KEYS = "/v1/organizations/soak/environments/production/keys"
HOST = "gate.soak"
PERMISSIONS = ["cards:read", "cards:write"]
BATCH = 50_000
# Of 64 characters: what a digest is made of.
HEX = "'sha256:' || lower(hex(randomblob(32)))"


def write_tenant(folder: Path):
    (folder / "tenants").mkdir(exist_ok=True)
    (folder / "tenants" / "soak.toml").write_text(f"""\
[organization]
id = "soak"
name = "Soak"
[environments.production]
base_url = "http://{HOST}/v1"
upstream = "http://127.0.0.1:9"
[environments.production.permissions]
"cards:read" = "GET /cards"
"cards:write" = "POST /cards"
[environments.production.roles]
events = ["cards:read"]
""")


# --- The store --------------------------------------------------------------------------------------------------


def fill(file: Path, wanted: int):
    """Multiplies the one key that is there. Columns that this program does not know are copied as they are."""
    own = {
        "client_id": "'pcull_' || printf('%022d', n)",
        "name": "'key ' || n",
        "name_folded": "'key ' || n",
        "secret_digest": HEX,
        "created_at": "created_at - n",
        # A tenth each is revoked, has ended, or ends one day.
        "revoked_at": "CASE WHEN n % 10 = 0 THEN created_at END",
        "expires_at": "CASE n % 10 WHEN 1 THEN created_at - 1 WHEN 2 THEN created_at + 86400 * (n % 365) END",
        "revision": "revision + n",
    }
    with sqlite3.connect(file) as store:
        store.execute("PRAGMA cache_size = -262144")
        # Generated columns are not written.
        columns = [row[1] for row in store.execute("PRAGMA table_xinfo(api_keys)") if row[6] == 0]
        missing = own.keys() - set(columns)
        if missing:
            raise Failed(f"the store's keys have no {', '.join(sorted(missing))}: this program needs to follow")
        copy = ", ".join(own.get(name, name) for name in columns)
        for first in range(1, wanted, BATCH):
            numbers = range(first, min(first + BATCH, wanted))
            store.execute(
                f"WITH RECURSIVE counter(n) AS (VALUES (?) UNION ALL SELECT n + 1 FROM counter WHERE n < ?) "
                f"INSERT INTO api_keys ({', '.join(columns)}) SELECT {copy} FROM api_keys, counter "
                f"WHERE client_id = (SELECT client_id FROM api_keys WHERE name = 'first')",
                (numbers[0], numbers[-1]),
            )
            store.commit()
        # The feed has a row for every revision that a key names.
        feed = [row[1] for row in store.execute("PRAGMA table_xinfo(feed)") if row[1] != "revision" and row[6] == 0]
        copy = ", ".join({"client_id": "k.client_id"}.get(name, f"f.{name}") for name in feed)
        store.execute(
            f"INSERT INTO feed (revision, {', '.join(feed)}) SELECT k.revision, {copy} FROM api_keys k, feed f "
            f"WHERE k.name <> 'first' AND f.client_id = (SELECT client_id FROM api_keys WHERE name = 'first')"
        )
        store.commit()
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()


# --- The figures ------------------------------------------------------------------------------------------------


def percentile(sorted_times: list[float], share: float) -> float:
    return sorted_times[min(len(sorted_times) - 1, int(len(sorted_times) * share))]


def row(name: str, times: list[float], cpu: float, bar: float | None) -> str:
    """`cpu` is what the node computed meanwhile, in seconds."""
    cpu = cpu * 1000 / len(times)
    times = sorted(time * 1000 for time in times)
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    verdict = "" if bar is None else f"bar {bar:g} ms: " + ("met" if p99 < bar else "MISSED")
    return f"{name:<34}{len(times):>7}{p50:>10.2f}{p99:>10.2f}{times[-1]:>10.2f}{cpu:>10.2f}   {verdict}"


def timed(node: Node, name: str, requests: Iterable[tuple], bar: float | None, seconds: float = 600) -> tuple[str, list]:
    """Sends one after the other, for so many seconds at most; the row of the table, and the answers."""
    times, answers, deadline = [], [], time.monotonic() + seconds
    cpu = node.cpu_seconds()
    for request in requests:
        took, answer = node.ask(*request)
        times.append(took)
        answers.append(answer)
        if time.monotonic() > deadline and len(times) >= 3:
            break
    return row(name, times, node.cpu_seconds() - cpu, bar), answers


def changes(node: Node, count: int) -> Iterator[str]:
    wanted = (("POST", KEYS, {"name": f"soak {number}", "permissions": PERMISSIONS}) for number in range(count))
    line, made = timed(node, "create", wanted, 20)
    yield line
    made = [f"{KEYS}/{key['client_id']}" for key in made]
    yield timed(node, "rotate", [("POST", f"{key}/rotate", {"expires_at": None}) for key in made], 20)[0]
    yield timed(node, "revoke", [("POST", f"{key}/revoke", {}) for key in made], 20)[0]
    yield timed(node, "show", [("GET", key) for key in made], None)[0]


def lists(node: Node, count: int, keys: int) -> Iterator[str]:
    tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))
    ways = {
        "newest": "",
        "active": "&status=active",
        "revoked": "&status=revoked",
        "expired": "&status=expired",
        "ending by tomorrow": f"&expires_before={tomorrow}",
        "fine-grained": "&type=fine_grained",
        "legacy (there is none)": "&type=legacy",
        "search, many found": "&q=key%2099",
        "search, the oldest found": f"&q=key%20{keys - 1}",
        "search, nothing found": "&q=nowhere",
    }
    for name, filters in ways.items():
        requests = [("GET", f"{KEYS}?limit=50{filters}")] * count
        yield timed(node, f"list 50, {name}", requests, 10, seconds=20)[0]
    yield pages(node, count)


def pages(node: Node, count: int) -> str:
    """One page after the other."""
    times, cursor, cpu = [], "", node.cpu_seconds()
    while len(times) < count:
        took, page = node.ask("GET", f"{KEYS}?limit=50{cursor}")
        times.append(took)
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    return row("list 50, page after page", times, node.cpu_seconds() - cpu, 10)


# --- The program ------------------------------------------------------------------------------------------------


def measure(arguments: argparse.Namespace, folder: Path):
    binary = build(arguments.portcullis)
    write_tenant(folder)
    with Node(binary, folder, patience=60) as node:
        first = node.ask("POST", KEYS, {"name": "first", "permissions": PERMISSIONS})[1]
        credentials = first["client_id"], first["client_secret"]
    say(f"filling the store with {arguments.keys:,} keys")
    began = time.monotonic()
    store = folder / "data" / "portcullis.db"
    fill(store, arguments.keys)
    print(f"{arguments.keys:,} keys, {store.stat().st_size // 2**20} MiB, filled in {time.monotonic() - began:.0f} s")
    with Node(binary, folder, patience=600) as node:
        first_token(node, *credentials)
        computed = node.cpu_seconds()
        verdict = "met" if node.start_took < 5 else "MISSED"
        print(f"start to ready {node.start_took:.2f} s, {computed:.2f} s of it computing   bar 5 s: {verdict}")
        print(f"resident after the start {node.resident_mib()} MiB\n")
        print(f"{'milliseconds':<34}{'count':>7}{'p50':>10}{'p99':>10}{'max':>10}{'CPU':>10}")
        for line in chain(changes(node, arguments.count), lists(node, arguments.count, arguments.keys)):
            print(line, flush=True)


def first_token(node: Node, client_id: str, secret: str):
    """The key that all others were made from gets a token: what was loaded is what was there."""
    form = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}"
    headers = {"Host": HOST, "Content-Type": "application/x-www-form-urlencoded"}
    status, body = send(node.ports["edge"], "POST", "/v1/oauth2/token", headers, form)
    if status != 200:
        raise Failed(f"the token endpoint answered {status}: {body[:500]!r}")


def main() -> int:
    parser = program(__doc__, "portcullis")
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys in the store (default 1000000)")
    parser.add_argument("--count", type=int, default=2000, help="requests of each kind (default 2000)")
    parser.add_argument("--dir", metavar="FOLDER", help="where the store is made: the disk to measure (default: temporary)")
    arguments = parser.parse_args()
    if arguments.keys < 1 or arguments.count < 1:
        parser.error("--keys and --count are 1 at least")
    return in_folder(measure, arguments, arguments.dir)


if __name__ == "__main__":
    start(main)
