-- Environments that the control API made: what tenant files can say, kept here.

-- OpenAPI documents by the SHA-256 of their text, once however many environments use one.
CREATE TABLE documents (
    digest TEXT NOT NULL PRIMARY KEY,
    text   TEXT NOT NULL
) STRICT;

-- `definition` is a JSON object in its canonical text. It may hold credentials for the upstream.
CREATE TABLE environments (
    organization TEXT NOT NULL,
    environment  TEXT NOT NULL,
    definition   TEXT NOT NULL,
    document     TEXT REFERENCES documents (digest),
    created_at   INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    revision     INTEGER NOT NULL,
    PRIMARY KEY (organization, environment)
) STRICT;
CREATE INDEX environments_document ON environments (document) WHERE document IS NOT NULL;
