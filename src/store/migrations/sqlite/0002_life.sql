-- The whole life of a key: audit log, policies, idempotency, usage, revoked tokens, signing keys with a beginning and an end.

-- The feed learns new subjects; its numbers go on.
CREATE TABLE feed_2 (
    revision  INTEGER PRIMARY KEY AUTOINCREMENT,
    subject   TEXT NOT NULL,
    client_id TEXT,
    target    TEXT,
    CHECK ((subject = 'api_key') = (client_id IS NOT NULL))
) STRICT;
INSERT INTO feed_2 (revision, subject, client_id) SELECT revision, subject, client_id FROM feed;
DELETE FROM sqlite_sequence WHERE name = 'feed_2';
INSERT INTO sqlite_sequence (name, seq) SELECT 'feed_2', seq FROM sqlite_sequence WHERE name = 'feed';
DROP TABLE feed;
ALTER TABLE feed_2 RENAME TO feed;

ALTER TABLE api_keys ADD COLUMN may_grant TEXT;
ALTER TABLE api_keys ADD COLUMN last_address TEXT;
-- Counts what policies would refuse without touching the table.
CREATE INDEX api_keys_policies ON api_keys (organization, expires_at, rotated_at, created_at, role)
    WHERE revoked_at IS NULL;

CREATE TABLE operation_usage (
    client_id    TEXT NOT NULL,
    operation    TEXT NOT NULL,
    count        INTEGER NOT NULL CHECK (count > 0),
    last_used_at INTEGER NOT NULL,
    PRIMARY KEY (client_id, operation)
) STRICT, WITHOUT ROWID;

-- A row for each organization that was made or changed here. `max_key_lifetime` in seconds.
CREATE TABLE organizations (
    id                TEXT NOT NULL PRIMARY KEY,
    name              TEXT,
    made_here         INTEGER NOT NULL CHECK (made_here IN (0, 1)),
    block_legacy_keys INTEGER CHECK (block_legacy_keys IN (0, 1)),
    max_key_lifetime  INTEGER CHECK (max_key_lifetime > 0),
    revision          INTEGER NOT NULL
) STRICT;

-- One chain an organization, and the node's with the empty name. `text` is the row; the rest is derived from it, so
-- that there is nothing beside it to forge.
CREATE TABLE audit (
    chain  TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    text   TEXT NOT NULL,
    at     TEXT GENERATED ALWAYS AS (text ->> '$.at') VIRTUAL,
    action TEXT GENERATED ALWAYS AS (text ->> '$.action') VIRTUAL,
    target TEXT GENERATED ALWAYS AS (text ->> '$.target.id') VIRTUAL,
    PRIMARY KEY (chain, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_target ON audit (chain, target, number);

-- Where each chain ends: rows taken off its end are missed.
CREATE TABLE audit_heads (
    chain  TEXT NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    hash   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    actor       TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    target      TEXT NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_at ON idempotency (at);

CREATE TABLE revoked_tokens (
    token_id     TEXT NOT NULL PRIMARY KEY,
    client_id    TEXT NOT NULL,
    organization TEXT NOT NULL,
    environment  TEXT NOT NULL,
    expires_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX revoked_tokens_expires_at ON revoked_tokens (expires_at);

ALTER TABLE signing_keys ADD COLUMN signs_from INTEGER;
ALTER TABLE signing_keys ADD COLUMN ends_at INTEGER;
UPDATE signing_keys SET signs_from = created_at;
