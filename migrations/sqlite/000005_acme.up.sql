-- What the ACME door keeps. No ID here is guessable, and none is ever used twice.

CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- The nonces that came back, until they have had their time.
CREATE TABLE acme_nonces (
    nonce BLOB PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX acme_nonces_until ON acme_nonces (until);

CREATE TABLE acme_accounts (
    id         TEXT PRIMARY KEY,
    app        TEXT NOT NULL REFERENCES apps (id),
    binding    TEXT REFERENCES tokens (id),         -- the credential that bound it; NULL: an account of the open app
    key        BLOB NOT NULL,                       -- JWK
    thumbprint BLOB NOT NULL UNIQUE,                -- of the key (RFC 7638)
    contact    TEXT NOT NULL,                       -- space-separated URLs
    status     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    version    INTEGER NOT NULL
) STRICT;

CREATE TABLE acme_orders (
    id         TEXT PRIMARY KEY,
    account    TEXT NOT NULL REFERENCES acme_accounts (id),
    names      TEXT NOT NULL,                       -- space-separated
    profile    TEXT NOT NULL,
    replaces   BLOB,                                -- the certificate that it renews
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    serial     BLOB                                 -- of its certificate; NULL: none yet
) STRICT;
CREATE INDEX acme_orders_account ON acme_orders (account, created_at, id);
CREATE INDEX acme_orders_replaces ON acme_orders (replaces) WHERE replaces IS NOT NULL;
CREATE INDEX acme_orders_expiry ON acme_orders (expires_at);

CREATE TABLE acme_authorizations (
    id           TEXT PRIMARY KEY,
    account      TEXT NOT NULL,                     -- of the order, where there is one
    "order"      TEXT REFERENCES acme_orders (id) ON DELETE CASCADE,
    place        INTEGER NOT NULL,                  -- of the name in the order
    name         TEXT NOT NULL,
    status       TEXT NOT NULL,
    token        TEXT NOT NULL,
    method       TEXT NOT NULL,                     -- of the challenge that was taken up; empty: none
    attempted_at INTEGER,
    failure      TEXT NOT NULL,                     -- the kind; empty: none
    detail       TEXT NOT NULL,                     -- of the failure
    validated_at INTEGER,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    version      INTEGER NOT NULL
) STRICT;
CREATE INDEX acme_authorizations_order ON acme_authorizations ("order", place);
CREATE INDEX acme_authorizations_expiry ON acme_authorizations (expires_at) WHERE "order" IS NULL;
