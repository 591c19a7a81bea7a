-- The records of the certificate authority. Rows of certificates are written once: signatures and revocations are rows of their own, so what
-- was recorded before signing stays as it was, and nothing large is ever rewritten.
--
-- Text that is ordered or compared in an index is COLLATE "C": pages and ranges go by bytes, whatever the language of the database.

CREATE TABLE authorities (
    name        TEXT COLLATE "C" PRIMARY KEY,
    position    INTEGER NOT NULL UNIQUE,            -- the order of creation, parents first
    parent      TEXT COLLATE "C" REFERENCES authorities (name),
    certificate BYTEA NOT NULL,
    key_ref     TEXT NOT NULL,                      -- empty: the key rests elsewhere
    profiles    TEXT NOT NULL,                      -- space-separated
    created_at  TIMESTAMPTZ NOT NULL
);

CREATE TABLE apps (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT NOT NULL,
    policy     TEXT NOT NULL,
    allowed    TEXT NOT NULL,                       -- the allow-list, space-separated
    suspended  BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    version    INTEGER NOT NULL
);

CREATE TABLE tokens (
    id         TEXT COLLATE "C" PRIMARY KEY,
    hash       BYTEA NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    app        TEXT COLLATE "C" REFERENCES apps (id), -- of a developer's token, and of no other
    created_at TIMESTAMPTZ NOT NULL,
    created_by TEXT NOT NULL,
    expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,
    last_used  TIMESTAMPTZ,
    CHECK ((role = 'developer') = (app IS NOT NULL))
);
CREATE INDEX tokens_app ON tokens (app, id);

-- authority and app refer to rows that are never removed, and the CA looks at both before it records. They have no foreign keys, which would
-- have every issuance of every server lock the same few rows.
CREATE TABLE certificates (
    serial       BYTEA PRIMARY KEY CHECK (length(serial) = 17),
    authority    TEXT COLLATE "C" NOT NULL,
    profile      TEXT COLLATE "C" NOT NULL,
    usage        TEXT NOT NULL,                     -- the extended key usage, one only
    app          TEXT COLLATE "C",                  -- NULL: the platform's own
    requested_by TEXT NOT NULL,
    names        TEXT NOT NULL,                     -- as in the certificate, space-separated
    key_type     TEXT NOT NULL,
    spki_hash    BYTEA NOT NULL,
    not_before   TIMESTAMPTZ NOT NULL,
    not_after    TIMESTAMPTZ NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    replaces     BYTEA,
    tbs          BYTEA NOT NULL,
    -- A developer's certificate can never play the platform.
    CHECK (usage IN ('serverAuth', 'clientAuth', 'OCSPSigning') AND (usage = 'serverAuth') = (app IS NOT NULL))
);
-- SQLite takes the index that was made last where several would do: those of the narrowest filters come last.
CREATE INDEX certificates_created ON certificates (created_at, serial);
CREATE INDEX certificates_authority_created ON certificates (authority, created_at, serial);
CREATE INDEX certificates_profile_created ON certificates (profile, created_at, serial);
CREATE INDEX certificates_app_created ON certificates (app, created_at, serial);
CREATE INDEX certificates_expiry ON certificates (not_after, serial);
CREATE INDEX certificates_app_expiry ON certificates (app, not_after, serial);
CREATE INDEX certificates_key ON certificates (spki_hash, created_at, serial);

-- One row for each name of each certificate, for search. A host name is reversed and ends in a dot ("com.example.www."), so that all that is
-- under a suffix, and it alone, is one range ("com.example." to "com.example/"). An address stands as "ip:192.0.2.1", outside of all those.
CREATE TABLE certificate_names (
    reversed   TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    serial     BYTEA NOT NULL,
    app        TEXT COLLATE "C",
    previous   TEXT COLLATE "C" NOT NULL,           -- the certificate's next smaller name, or empty: a range lists it at its first name in it
    PRIMARY KEY (reversed, created_at, serial)
);
CREATE INDEX certificate_names_app ON certificate_names (app, reversed, created_at, serial);

-- Recorded, but no signature is committed yet.
CREATE TABLE pending (
    created_at TIMESTAMPTZ NOT NULL,
    serial     BYTEA NOT NULL,
    PRIMARY KEY (created_at, serial)
);

-- No signature without a row: a foreign key here costs 4 % of an issuance's work in the database, and locks what nobody else looks at.
CREATE TABLE signatures (
    serial      BYTEA PRIMARY KEY REFERENCES certificates (serial),
    signature   BYTEA NOT NULL,
    fingerprint BYTEA NOT NULL UNIQUE,
    signed_at   TIMESTAMPTZ NOT NULL,
    app         TEXT COLLATE "C",                   -- the certificate's, like not_after
    not_after   TIMESTAMPTZ NOT NULL,
    live        BOOLEAN NOT NULL                    -- not revoked
);
CREATE INDEX signatures_expiry ON signatures (not_after, serial) WHERE live;
CREATE INDEX signatures_app_expiry ON signatures (app, not_after, serial) WHERE live;

CREATE TABLE revocations (
    serial     BYTEA PRIMARY KEY REFERENCES certificates (serial),
    authority  TEXT COLLATE "C" NOT NULL,
    app        TEXT COLLATE "C",
    revoked_at TIMESTAMPTZ NOT NULL,
    reason     INTEGER NOT NULL,                    -- RFC 5280, Section 5.3.1
    revoked_by TEXT NOT NULL,
    not_after  TIMESTAMPTZ NOT NULL
);
CREATE INDEX revocations_time ON revocations (revoked_at, serial);
CREATE INDEX revocations_app_time ON revocations (app, revoked_at, serial);

CREATE TABLE events (
    id         BYTEA PRIMARY KEY,                   -- UUID version 7: in the order of time
    at         TIMESTAMPTZ NOT NULL,
    action     TEXT COLLATE "C" NOT NULL,
    outcome    TEXT COLLATE "C" NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    role       TEXT NOT NULL,
    token      TEXT NOT NULL,
    address    TEXT NOT NULL,
    request_id TEXT NOT NULL,
    app        TEXT COLLATE "C",
    object     TEXT COLLATE "C" NOT NULL,
    detail     TEXT NOT NULL                        -- a JSON object of strings
);
CREATE INDEX events_app ON events (app, id);
CREATE INDEX events_object ON events (object, id);
CREATE INDEX events_actor ON events (actor, id);
CREATE INDEX events_action ON events (action, id);
CREATE INDEX events_outcome ON events (outcome, id);

-- The idempotency keys of creating requests. They are bytes: what a client sends need not be text.
CREATE TABLE claims (
    scope   TEXT COLLATE "C" NOT NULL,
    key     BYTEA NOT NULL,
    request BYTEA NOT NULL,
    object  TEXT NOT NULL,
    at      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX claims_at ON claims (at);
