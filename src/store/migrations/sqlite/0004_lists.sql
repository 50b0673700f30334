-- Listings that find few keys among many: each walks an index that holds no more than it can find, newest first.
CREATE INDEX api_keys_legacy ON api_keys (organization, environment, newest_first, client_id) WHERE role IS NOT NULL;
CREATE INDEX api_keys_revoked ON api_keys (organization, environment, newest_first, client_id) WHERE revoked_at IS NOT NULL;
-- With all that decides whether a key has ended or will have: what is passed over is not read from the table.
CREATE INDEX api_keys_ending ON api_keys (organization, environment, newest_first, client_id, expires_at, revoked_at)
    WHERE expires_at IS NOT NULL;
