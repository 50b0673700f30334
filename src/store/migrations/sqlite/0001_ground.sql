-- The ground: change feed, API keys, signing keys, bootstrap token.

-- `PCLS`: tells a Portcullis database from any other SQLite file. The same in every version.
PRAGMA application_id = 1346587731;

-- One row a change. AUTOINCREMENT: a number is never given twice, even if rows are taken off the end.
CREATE TABLE feed (
    revision  INTEGER PRIMARY KEY AUTOINCREMENT,
    subject   TEXT NOT NULL CHECK (subject IN ('api_key', 'signing_keys')),
    client_id TEXT,
    CHECK ((subject = 'api_key') = (client_id IS NOT NULL))
) STRICT;

-- Instants are seconds since the Unix epoch. `permissions` and `networks` are JSON arrays of text.
-- `networks` NULL is "any address". A key is fine-grained (permissions) or legacy (role), never both.
CREATE TABLE api_keys (
    client_id        TEXT NOT NULL PRIMARY KEY,
    organization     TEXT NOT NULL,
    environment      TEXT NOT NULL,
    name             TEXT NOT NULL,
    name_folded      TEXT NOT NULL,
    description      TEXT NOT NULL,
    permissions      TEXT,
    role             TEXT,
    networks         TEXT,
    platform         INTEGER NOT NULL CHECK (platform IN (0, 1)),
    secret_digest    TEXT NOT NULL,
    secret_last_four TEXT NOT NULL,
    secret_version   INTEGER NOT NULL CHECK (secret_version > 0),
    expires_at       INTEGER,
    created_at       INTEGER NOT NULL,
    created_by       TEXT NOT NULL,
    rotated_at       INTEGER,
    revoked_at       INTEGER,
    last_used_at     INTEGER,
    revision         INTEGER NOT NULL,
    -- Lets one ascending index, and one row-value comparison, walk "newest first, then client id".
    newest_first     INTEGER NOT NULL GENERATED ALWAYS AS (-created_at) VIRTUAL,
    CHECK ((permissions IS NULL) <> (role IS NULL)),
    CHECK (networks IS NOT NULL OR platform = 0)
) STRICT;

CREATE UNIQUE INDEX api_keys_live_name ON api_keys (organization, environment, name_folded) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_newest_first ON api_keys (organization, environment, newest_first, client_id);

CREATE TABLE signing_keys (
    id         TEXT NOT NULL PRIMARY KEY,
    algorithm  TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    revision   INTEGER NOT NULL
) STRICT;

-- At most one row.
CREATE TABLE bootstrap (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    digest TEXT NOT NULL
) STRICT;
