#!/usr/bin/env python3
"""Writes the seeds of each fuzz target below fuzz/corpus, from what the tests know."""

import base64
import hashlib
import hmac
import json
import pathlib
import re
import struct

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent / "tests" / "data"
SECRET = b"a secret of the fuzzer's own, 32"

ENVIRONMENT = """[organization]
id = "acme"
name = "Acme"
[environments.production]
base_url = "http://127.0.0.1:8080/v1"
"""
UPSTREAM = 'upstream = "http://127.0.0.1:9000"\n'
KEY = """permissions = { "cards:read" = "GET /cards" }
roles = { events = ["cards:read"] }
[[environments.production.keys]]
client_id = "pcull_key"
name = "key"
"""

HEADS = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /a%20b?c=d{}|^ HTTP/1.1\r\nhost: a.b:80\r\nContent-Length: 5\r\nX: \t y z \r\n\r\nhello",
    "GET http://a/x?y HTTP/1.1\r\nHost: A\r\nConnection: close, x\r\n\r\n",
    "PUT https://a?y HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: Chunked \r\n!#$%&'*+-.^_`|~: x\r\n\r\n0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\nX: y\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 5, 5\r\n folded\r\n\r\n",
]
PROXIES = [
    b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\nGET /",
    b"PROXY TCP6 2001:db8::1 ::1 8080 80\r\n",
    b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n",
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN ::1 ::1 1 2\r\n",
]
NETWORKS = [
    "203.0.113.42\n198.51.100.0/24\n0.0.0.0/0\n::/0",
    "2001:db8::/32\n::ffff:192.0.2.0/120\n::ffff:0:0/96\n::1",
    "010.0.0.1\n10.0.0.0/08\n10.0.0.1/24\nfe80::1%eth0\n1.2.3.4/33\n::ffff:0:0/95\n10.0.0.0/+8",
]
TARGETS = [
    "GET /cards\nGET /cards/{id}\nGET /cards/blocked\n/cards\n/cards/7\n/cards/BLOCKED\n/cards/%2562locked\n/cards/blocked.json",
    "* /f/{rest...}\nGET /f/private\nGET /f\n/f/Private/\n/f/private;x\n/f/\n/f/a/b",
    "POST /t/{id}:undelete\nPOST /t/{id}\nGET /t/{a}-{b}.json\n/t/1:UNDELETE\n/t/a-b.JSON\n/t/1%253Aundelete\n/t/a%2fb",
    "GET /\nHEAD /a/\nGET /a/{p}/\nGET /{p}/{rest...}\n/\n/a/\n/a/b/\n/%2e%2e/a\n/a/..;/b\n/a/;x\n//a",
]


def write(target, seeds):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / ("seed-" + hashlib.sha256(seed).hexdigest()[:16])).write_bytes(seed)


def cases(file):
    """Title and lines of each case of a file."""
    for part in re.split(r"^=== ", file.read_text(), flags=re.M)[1:]:
        title, _, rest = part.partition("\n")
        yield title, rest


def configurations():
    for file in sorted((DATA / "bad-config").glob("*.txt")):
        for _, text in cases(file):
            text = re.sub(r" *#! .*$", "", text, flags=re.M)
            for name, front in (("env", ENVIRONMENT + UPSTREAM), ("upstream", ENVIRONMENT), ("key", ENVIRONMENT + UPSTREAM + KEY)):
                text = re.sub(rf"^--- {name}\n", lambda _: "--- tenants/acme.toml\n" + front, text, flags=re.M)
            yield text.encode()
    node = (HERE.parent / "conf/portcullis.toml").read_text()
    tenant = (HERE.parent / "conf/tenants/acme.toml").read_text()
    yield f"--- portcullis.toml\n{node}--- tenants/acme.toml\n{tenant}".encode()
    yield f"--- tenants/acme.toml\n{ENVIRONMENT}{UPSTREAM}{KEY}secret_digest = \"sha256:{'0' * 64}\"\nrole = \"events\"\n".encode()


def documents():
    for file in sorted((DATA / "openapi").glob("*.txt")):
        for _, text in cases(file):
            yield "".join(line for line in text.splitlines(True) if not line.startswith("--- ")).encode()


def binary_proxies():
    fixed = b"\r\n\r\n\0\r\nQUIT\n"
    four = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + struct.pack(">HH", 8080, 80)
    for command, family, payload in ((0x21, 0x11, four), (0x21, 0x21, bytes(32) + b"\0\1\0\2"), (0x20, 0, b""), (0x21, 0x11, four + b"\2\0\3a.b")):
        yield fixed + bytes([command, family]) + struct.pack(">H", len(payload)) + payload


def tokens():
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    header = {"typ": "at+jwt", "alg": "HS256", "kid": "KID"}
    payload = {"iss": "i", "aud": "a", "sub": "pcull_a", "client_id": "pcull_a", "iat": 1, "exp": 2, "jti": "j", "secret_version": 1}
    for more in ({}, {"scope": "cards:read"}, {"exp": 2.5}, {"exp": -1}, {"aud": ["a"]}, {"sub": "x"}, {"exp": 2**63}):
        yield (json.dumps(header) + "\n" + json.dumps({**payload, **more})).encode()
    for more in ({"typ": "application/AT+JWT"}, {"crit": ["b64"]}, {"alg": "none"}, {"jwk": {}}, {"b64": None}):
        yield (json.dumps({**header, **more}) + "\n" + json.dumps(payload)).encode()
    message = part(json.dumps(header).encode()) + b"." + part(json.dumps(payload).encode())
    yield message + b"." + part(hmac.new(SECRET, message, "sha256").digest())


if __name__ == "__main__":
    write("target", (bytes([switches]) + text.encode() for switches in range(4) for text in TARGETS))
    write("head", (bytes([step]) + head.encode() for step in (0, 3, 255) for head in HEADS))
    write("proxy", PROXIES + list(binary_proxies()))
    write("cidr", (text.encode() for text in NETWORKS))
    write("config", configurations())
    write("openapi", documents())
    write("token", tokens())
