-- Which app has which name, and by what proof. A row is one app's claim on one name; who holds the name is decided by an index.
CREATE TABLE domains (
    reversed        TEXT COLLATE "C" NOT NULL,      -- as in certificate_names
    app             TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    name            TEXT NOT NULL,
    state           TEXT COLLATE "C" NOT NULL,
    holds           BOOLEAN NOT NULL,               -- the name is this app's, and no other's
    slot            INTEGER,                        -- numbers an app's open claims, of which it may have so many; NULL: not open
    wildcard        BOOLEAN NOT NULL,
    method          TEXT NOT NULL,                  -- of the challenge
    token           TEXT NOT NULL,
    challenge_until TIMESTAMPTZ,
    proven_by       TEXT NOT NULL,                  -- empty: not proven
    lasting         BOOLEAN NOT NULL,               -- the proof can be looked at again
    proven_at       TIMESTAMPTZ,
    expires_at      TIMESTAMPTZ,
    checked_at      TIMESTAMPTZ,
    failing_since   TIMESTAMPTZ,
    failure         TEXT NOT NULL,
    due_at          TIMESTAMPTZ,                    -- when the proof is to be looked at again
    flag            TEXT NOT NULL,                  -- why an operator decides about it
    decided_at      TIMESTAMPTZ,
    decided_by      TEXT NOT NULL,
    decision        TEXT NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL,
    created_by      TEXT NOT NULL,
    version         INTEGER NOT NULL,
    PRIMARY KEY (reversed, app),
    UNIQUE (app, slot),
    CHECK (holds OR state NOT IN ('valid', 'suspended'))
);
CREATE UNIQUE INDEX domains_holder ON domains (reversed) WHERE holds; -- one domain, one app
CREATE INDEX domains_app ON domains (app, reversed);
CREATE INDEX domains_state ON domains (state, reversed, app);
CREATE INDEX domains_due ON domains (due_at, reversed, app) WHERE due_at IS NOT NULL;

-- How much of a quota is used: the moment, in microseconds since 1970, at which what was taken would have been due at the steady rate.
CREATE TABLE quotas (
    scope TEXT COLLATE "C" PRIMARY KEY,
    due   BIGINT NOT NULL
);
CREATE INDEX quotas_due ON quotas (due);
