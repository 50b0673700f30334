"""requests-oauthlib as its users call it. Reads a job (JSON) on stdin, prints what each call came to (JSON).

tests/it/clients.rs writes the job and judges the results; nothing is judged here.
"""

import json
import sys

import requests
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

job = json.load(sys.stdin)
TIMEOUT = 30


def note(seen, response):
    """Keeps what the library sent first: the token request."""
    if "sent" not in seen:
        request = response.request
        seen["sent"] = {"method": request.method, "url": request.url, "body": request.body,
                        "authorization": request.headers.get("Authorization"), "status": response.status_code}


def call(scope=None, secret=None, path="/cards", **options):
    """Fetches a token and uses it; `options` are those of fetch_token, `basic` and `in_body` are short for two."""
    secret = job["client_secret"] if secret is None else secret
    session = OAuth2Session(client=BackendApplicationClient(client_id=job["client_id"], scope=scope))
    session.trust_env = False
    seen = {}
    session.hooks["response"].append(lambda response, **_: note(seen, response))
    if options.pop("basic", False):
        options["auth"] = HTTPBasicAuth(job["client_id"], secret)
    else:
        options["client_secret"] = secret
    try:
        token = session.fetch_token(job["token_url"], timeout=TIMEOUT, **options)
    except OAuth2Error as error:
        return {**seen, "error": error.error, "kind": type(error).__name__, "description": error.description}
    answer = session.get(job["base_url"] + path, timeout=TIMEOUT)
    write = session.post(job["base_url"] + path, timeout=TIMEOUT)
    return {**seen, "token": dict(token), "authorized": session.authorized, "read": answer.status_code,
            "write": write.status_code, "write_error": write.headers.get("Portcullis-Error")}


def revoke(token):
    """RFC 7009 as oauthlib words it."""
    client = BackendApplicationClient(client_id=job["client_id"])
    url, headers, body = client.prepare_token_revocation_request(job["revocation_url"], token)
    with requests.Session() as session:
        session.trust_env = False
        auth = HTTPBasicAuth(job["client_id"], job["client_secret"])
        revoked = session.post(url, headers=headers, data=body, auth=auth, timeout=TIMEOUT)
        bearer = {"Authorization": "Bearer " + token}
        after = session.get(job["base_url"] + "/cards", headers=bearer, timeout=TIMEOUT)
    return {"status": revoked.status_code, "read": after.status_code, "error": after.headers.get("Portcullis-Error")}


results = {
    "basic": call(basic=True),
    # The library's own choice: Basic out of the id and `client_secret`.
    "unasked": call(),
    "body": call(include_client_id=True),
    "basic_and_id": call(basic=True, include_client_id=True),
    "narrowed": call(scope=["cards:read"]),
    "narrowed_in_body": call(scope=["cards:read"], include_client_id=True),
    "too_wide": call(scope=["cards:read", "cards:admin"]),
    "wrong": call(secret="wrong"),
    "wrong_in_body": call(secret="wrong", include_client_id=True),
    "no_secret": call(secret=""),
    "query": call(basic=True, force_querystring=True),
    "secret_in_query": call(include_client_id=True, force_querystring=True),
    "get": call(basic=True, method="GET"),
    "more": call(basic=True, audience="https://api.example", resource=job["base_url"]),
}
if job.get("revocation_url"):
    results["revoked"] = revoke(results["basic"]["token"]["access_token"])
json.dump(results, sys.stdout)
