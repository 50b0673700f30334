-- What the workbench asks for: lists in other orders, and what keys and environments did by the hour.

-- The end of a key as a number that sorts: those that never end come last.
ALTER TABLE api_keys ADD COLUMN ends INTEGER NOT NULL GENERATED ALWAYS AS (COALESCE(expires_at, 9223372036854775807)) VIRTUAL;

-- One index an order. Each holds all that filters and searches look at, but not what changes with every use: what is
-- passed over is not read from the table.
DROP INDEX api_keys_newest_first;
CREATE INDEX api_keys_newest_first ON api_keys
    (organization, environment, newest_first, client_id, name_folded, expires_at, revoked_at, role);
CREATE INDEX api_keys_by_name ON api_keys
    (organization, environment, name_folded, client_id, expires_at, revoked_at, role);
CREATE INDEX api_keys_by_end ON api_keys
    (organization, environment, ends, client_id, name_folded, expires_at, revoked_at, role);

-- The keys of an environment in the order in which they lie in the table: who looks at what changes with every use reads each
-- page once.
CREATE INDEX api_keys_in_place ON api_keys (organization, environment);

-- `hour` counts hours since the Unix epoch. It comes first, so that a batch touches pages that lie together and what is
-- over goes in one piece.
CREATE TABLE usage_hours (
    hour      INTEGER NOT NULL,
    client_id TEXT NOT NULL,
    count     INTEGER NOT NULL CHECK (count > 0),
    PRIMARY KEY (hour, client_id)
) STRICT, WITHOUT ROWID;

-- What the requests of an environment came to: an empty `code` is what the upstream answered.
CREATE TABLE traffic_hours (
    hour         INTEGER NOT NULL,
    organization TEXT NOT NULL,
    environment  TEXT NOT NULL,
    code         TEXT NOT NULL,
    count        INTEGER NOT NULL CHECK (count > 0),
    PRIMARY KEY (hour, organization, environment, code)
) STRICT, WITHOUT ROWID;
