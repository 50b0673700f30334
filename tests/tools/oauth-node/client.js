// simple-oauth2 as its users call it. Reads a job (JSON) on stdin, prints what each call came to (JSON).
//
// tests/it/clients.rs writes the job and judges the results; nothing is judged here.
'use strict';

const fs = require('fs');
const http = require('http');
const path = require('path');

// node client.js FOLDER: where scripts/install-test-tools put the library.
const { ClientCredentials } = require(path.join(process.argv[2], 'node_modules', 'simple-oauth2'));

const job = JSON.parse(fs.readFileSync(0, 'utf8'));
const tokenUrl = new URL(job.token_url);

// What goes over the wire, as the library made it.
let sent = null;
const request = http.request;
http.request = function (...args) {
  const outgoing = request.apply(this, args);
  sent ??= { method: outgoing.method, path: outgoing.path, authorization: outgoing.getHeader('authorization') ?? null };
  return outgoing;
};

function bearer(method, target, token) {
  return new Promise((resolve, reject) => {
    const options = { method, headers: { authorization: `Bearer ${token}` }, agent: false };
    request(job.base_url + target, options, (answer) => {
      answer.resume();
      answer.on('end', () => resolve({ status: answer.statusCode, code: answer.headers['portcullis-error'] ?? null }));
    }).on('error', reject).end();
  });
}

function client(options, secret) {
  return new ClientCredentials({
    client: { id: job.client_id, secret: secret ?? job.client_secret },
    auth: {
      tokenHost: tokenUrl.origin,
      tokenPath: tokenUrl.pathname,
      ...(job.revocation_url && { revokePath: new URL(job.revocation_url).pathname }),
    },
    http: { timeout: 30000 },
    options,
  });
}

async function call(options, params = {}, secret) {
  sent = null;
  try {
    const got = await client(options, secret).getToken(params);
    const token = got.token.access_token;
    const wire = sent;
    const read = await bearer('GET', '/cards', token);
    const write = await bearer('POST', '/cards', token);
    return { sent: wire, token: got.token, expired: got.expired(), read: read.status, write: write.status, write_error: write.code };
  } catch (error) {
    return { sent, status: error.output?.statusCode ?? null, error: error.data?.payload?.error ?? String(error) };
  }
}

async function revoke() {
  const got = await client({ authorizationMethod: 'header' }).getToken({});
  await got.revoke('access_token');
  const after = await bearer('GET', '/cards', got.token.access_token);
  return { read: after.status, error: after.code };
}

async function main() {
  const header = { authorizationMethod: 'header' };
  const body = { authorizationMethod: 'body' };
  const results = {
    // The library's own choice: Basic, form-encoded.
    unasked: await call({}),
    basic: await call(header),
    basic_unencoded: await call({ ...header, credentialsEncodingMode: 'loose' }),
    body: await call(body),
    narrowed: await call(header, { scope: ['cards:read'] }),
    narrowed_in_body: await call(body, { scope: 'cards:read' }),
    too_wide: await call(header, { scope: ['cards:read', 'cards:admin'] }),
    wrong: await call(header, {}, 'wrong'),
    wrong_in_body: await call(body, {}, 'wrong'),
    json: await call({ ...body, bodyFormat: 'json' }),
    more: await call(header, { audience: 'https://api.example', resource: job.base_url }),
  };
  if (job.revocation_url) {
    results.revoked = await revoke();
  }
  process.stdout.write(JSON.stringify(results));
}

main();
