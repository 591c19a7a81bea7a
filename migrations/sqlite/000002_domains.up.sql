-- Which app has which name, and by what proof. A row is one app's claim on one name; who holds the name is decided by an index.
CREATE TABLE domains (
    reversed        TEXT NOT NULL,      -- as in certificate_names
    app             TEXT NOT NULL REFERENCES apps (id),
    name            TEXT NOT NULL,
    state           TEXT NOT NULL,
    holds           INTEGER NOT NULL,               -- the name is this app's, and no other's
    slot            INTEGER,                        -- numbers an app's open claims, of which it may have so many; NULL: not open
    wildcard        INTEGER NOT NULL,
    method          TEXT NOT NULL,                  -- of the challenge
    token           TEXT NOT NULL,
    challenge_until INTEGER,
    proven_by       TEXT NOT NULL,                  -- empty: not proven
    lasting         INTEGER NOT NULL,               -- the proof can be looked at again
    proven_at       INTEGER,
    expires_at      INTEGER,
    checked_at      INTEGER,
    failing_since   INTEGER,
    failure         TEXT NOT NULL,
    due_at          INTEGER,                    -- when the proof is to be looked at again
    flag            TEXT NOT NULL,                  -- why an operator decides about it
    decided_at      INTEGER,
    decided_by      TEXT NOT NULL,
    decision        TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    created_by      TEXT NOT NULL,
    version         INTEGER NOT NULL,
    PRIMARY KEY (reversed, app),
    UNIQUE (app, slot),
    CHECK (holds OR state NOT IN ('valid', 'suspended'))
) STRICT;
CREATE UNIQUE INDEX domains_holder ON domains (reversed) WHERE holds; -- one domain, one app
CREATE INDEX domains_app ON domains (app, reversed);
CREATE INDEX domains_state ON domains (state, reversed, app);
CREATE INDEX domains_due ON domains (due_at, reversed, app) WHERE due_at IS NOT NULL;

-- How much of a quota is used: the moment, in microseconds since 1970, at which what was taken would have been due at the steady rate.
CREATE TABLE quotas (
    scope TEXT PRIMARY KEY,
    due   INTEGER NOT NULL
) STRICT;
CREATE INDEX quotas_due ON quotas (due);
