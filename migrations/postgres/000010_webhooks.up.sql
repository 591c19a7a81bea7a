-- Who is told what happens to endpoints, and what they have not been told yet. IDs are in the order of time.

CREATE TABLE webhooks (
    id            TEXT COLLATE "C" PRIMARY KEY,
    app           TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    slot          INTEGER NOT NULL,                 -- a number of its own among the app's, of which there are as many as it may have
    url           TEXT NOT NULL,
    secret        BYTEA NOT NULL,                  -- messages are signed with it, so it is kept as it is
    old_secret    BYTEA NOT NULL,                  -- the one before, which counts until old_until
    old_until     TIMESTAMPTZ,
    created_at    TIMESTAMPTZ NOT NULL,
    created_by    TEXT NOT NULL,
    delivered_at  TIMESTAMPTZ,
    failing_since TIMESTAMPTZ,
    failure       TEXT NOT NULL,
    version       INTEGER NOT NULL,                 -- of the secrets
    UNIQUE (app, slot)
);
CREATE INDEX webhooks_app ON webhooks (app, id);

CREATE TABLE deliveries (
    notice  TEXT COLLATE "C" NOT NULL,
    webhook TEXT COLLATE "C" NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    app     TEXT NOT NULL,
    type    TEXT NOT NULL,
    at      TIMESTAMPTZ NOT NULL,
    body    BYTEA NOT NULL,
    due_at  TIMESTAMPTZ NOT NULL,                         -- when it is tried next
    tries   INTEGER NOT NULL,
    PRIMARY KEY (notice, webhook)
);
CREATE INDEX deliveries_due ON deliveries (due_at, notice);
CREATE INDEX deliveries_webhook ON deliveries (webhook);
