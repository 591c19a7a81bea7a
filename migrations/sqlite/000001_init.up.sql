-- The records of the certificate authority. Rows of certificates are written once: signatures and revocations are rows of their own, so what
-- was recorded before signing stays as it was, and nothing large is ever rewritten.
--
-- Times are microseconds since 1970, truth is 0 or 1. The tables that are searched by their key alone are WITHOUT ROWID: one tree instead of two.

CREATE TABLE authorities (
    name        TEXT PRIMARY KEY,
    position    INTEGER NOT NULL UNIQUE,            -- the order of creation, parents first
    parent      TEXT REFERENCES authorities (name),
    certificate BLOB NOT NULL,
    key_ref     TEXT NOT NULL,                      -- empty: the key rests elsewhere
    profiles    TEXT NOT NULL,                      -- space-separated
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE apps (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    policy     TEXT NOT NULL,
    allowed    TEXT NOT NULL,                       -- the allow-list, space-separated
    suspended  INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    version    INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    app        TEXT REFERENCES apps (id),           -- of a developer's token, and of no other
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used  INTEGER,
    CHECK ((role = 'developer') = (app IS NOT NULL))
) STRICT;
CREATE INDEX tokens_app ON tokens (app, id);

-- authority and app refer to rows that are never removed, and the CA looks at both before it records. They have no foreign keys, which would
-- have every issuance of every server lock the same few rows.
CREATE TABLE certificates (
    serial       BLOB PRIMARY KEY CHECK (length(serial) = 17),
    authority    TEXT NOT NULL,
    profile      TEXT NOT NULL,
    usage        TEXT NOT NULL,                     -- the extended key usage, one only
    app          TEXT,                              -- NULL: the platform's own
    requested_by TEXT NOT NULL,
    names        TEXT NOT NULL,                     -- as in the certificate, space-separated
    key_type     TEXT NOT NULL,
    spki_hash    BLOB NOT NULL,
    not_before   INTEGER NOT NULL,
    not_after    INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    replaces     BLOB,
    tbs          BLOB NOT NULL,
    -- A developer's certificate can never play the platform.
    CHECK (usage IN ('serverAuth', 'clientAuth', 'OCSPSigning') AND (usage = 'serverAuth') = (app IS NOT NULL))
) STRICT;
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
    reversed   TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    serial     BLOB NOT NULL,
    app        TEXT,
    previous   TEXT NOT NULL,                       -- the certificate's next smaller name, or empty: a range lists it at its first name in it
    PRIMARY KEY (reversed, created_at, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX certificate_names_app ON certificate_names (app, reversed, created_at, serial);

-- Recorded, but no signature is committed yet.
CREATE TABLE pending (
    created_at INTEGER NOT NULL,
    serial     BLOB NOT NULL,
    PRIMARY KEY (created_at, serial)
) STRICT, WITHOUT ROWID;

-- No signature without a row: a foreign key here costs 4 % of an issuance's work in the database, and locks what nobody else looks at.
CREATE TABLE signatures (
    serial      BLOB PRIMARY KEY REFERENCES certificates (serial),
    signature   BLOB NOT NULL,
    fingerprint BLOB NOT NULL UNIQUE,
    signed_at   INTEGER NOT NULL,
    app         TEXT,                               -- the certificate's, like not_after
    not_after   INTEGER NOT NULL,
    live        INTEGER NOT NULL                    -- not revoked
) STRICT;
CREATE INDEX signatures_expiry ON signatures (not_after, serial) WHERE live;
CREATE INDEX signatures_app_expiry ON signatures (app, not_after, serial) WHERE live;

CREATE TABLE revocations (
    serial     BLOB PRIMARY KEY REFERENCES certificates (serial),
    authority  TEXT NOT NULL,
    app        TEXT,
    revoked_at INTEGER NOT NULL,
    reason     INTEGER NOT NULL,                    -- RFC 5280, Section 5.3.1
    revoked_by TEXT NOT NULL,
    not_after  INTEGER NOT NULL
) STRICT;
CREATE INDEX revocations_time ON revocations (revoked_at, serial);
CREATE INDEX revocations_app_time ON revocations (app, revoked_at, serial);

CREATE TABLE events (
    id         BLOB PRIMARY KEY,                   -- UUID version 7: in the order of time
    at         INTEGER NOT NULL,
    action     TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    actor      TEXT NOT NULL,
    role       TEXT NOT NULL,
    token      TEXT NOT NULL,
    address    TEXT NOT NULL,
    request_id TEXT NOT NULL,
    app        TEXT,
    object     TEXT NOT NULL,
    detail     TEXT NOT NULL                        -- a JSON object of strings
) STRICT;
CREATE INDEX events_app ON events (app, id);
CREATE INDEX events_object ON events (object, id);
CREATE INDEX events_actor ON events (actor, id);
CREATE INDEX events_action ON events (action, id);
CREATE INDEX events_outcome ON events (outcome, id);

-- The idempotency keys of creating requests. They are bytes: what a client sends need not be text.
CREATE TABLE claims (
    scope   TEXT NOT NULL,
    key     BLOB NOT NULL,
    request BLOB NOT NULL,
    object  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_at ON claims (at);
