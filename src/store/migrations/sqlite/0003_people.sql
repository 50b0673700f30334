-- People: who looks after organizations, how they are let in, and for how long.

-- `email_folded` is the address without case. `password_hash` is a PHC string; NULL before the first invitation is
-- taken up. The revision is the number of the last change of the person or of any membership.
CREATE TABLE people (
    id              TEXT NOT NULL PRIMARY KEY,
    email           TEXT NOT NULL,
    email_folded    TEXT NOT NULL UNIQUE,
    operator        INTEGER NOT NULL CHECK (operator IN (0, 1)),
    password_hash   TEXT,
    created_at      INTEGER NOT NULL,
    last_sign_in_at INTEGER,
    revision        INTEGER NOT NULL
) STRICT;

-- `place` is the number of the change that added it: lists go by it.
CREATE TABLE memberships (
    organization TEXT NOT NULL,
    person       TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    role         TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'viewer', 'none')),
    added_at     INTEGER NOT NULL,
    place        INTEGER NOT NULL,
    PRIMARY KEY (organization, person)
) STRICT;
CREATE UNIQUE INDEX memberships_place ON memberships (organization, place);
CREATE INDEX memberships_person ON memberships (person);

-- At most one a person. Digests only, as everywhere below.
CREATE TABLE invitations (
    person     TEXT NOT NULL PRIMARY KEY REFERENCES people (id) ON DELETE CASCADE,
    digest     TEXT NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL
) STRICT;

-- Without a person it is the operator's, by the bootstrap token.
CREATE TABLE sessions (
    digest       TEXT NOT NULL PRIMARY KEY,
    person       TEXT REFERENCES people (id) ON DELETE CASCADE,
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    ends_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_person ON sessions (person);

CREATE TABLE member_tokens (
    id           TEXT NOT NULL PRIMARY KEY,
    digest       TEXT NOT NULL UNIQUE,
    organization TEXT NOT NULL,
    person       TEXT NOT NULL,
    name         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    place        INTEGER NOT NULL,
    FOREIGN KEY (organization, person) REFERENCES memberships (organization, person) ON DELETE CASCADE
) STRICT;
CREATE INDEX member_tokens_person ON member_tokens (organization, person);

-- 1 once an owner has signed in: the digest is then of bytes that nobody has.
ALTER TABLE bootstrap ADD COLUMN ended INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1));
