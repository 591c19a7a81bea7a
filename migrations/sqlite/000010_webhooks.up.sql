-- Who is told what happens to endpoints, and what they have not been told yet. IDs are in the order of time.

CREATE TABLE webhooks (
    id            TEXT PRIMARY KEY,
    app           TEXT NOT NULL REFERENCES apps (id),
    slot          INTEGER NOT NULL,                 -- a number of its own among the app's, of which there are as many as it may have
    url           TEXT NOT NULL,
    secret        BLOB NOT NULL,                  -- messages are signed with it, so it is kept as it is
    old_secret    BLOB NOT NULL,                  -- the one before, which counts until old_until
    old_until     INTEGER,
    created_at    INTEGER NOT NULL,
    created_by    TEXT NOT NULL,
    delivered_at  INTEGER,
    failing_since INTEGER,
    failure       TEXT NOT NULL,
    version       INTEGER NOT NULL,                 -- of the secrets
    UNIQUE (app, slot)
) STRICT;
CREATE INDEX webhooks_app ON webhooks (app, id);

CREATE TABLE deliveries (
    notice  TEXT NOT NULL,
    webhook TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    app     TEXT NOT NULL,
    type    TEXT NOT NULL,
    at      INTEGER NOT NULL,
    body    BLOB NOT NULL,
    due_at  INTEGER NOT NULL,                         -- when it is tried next
    tries   INTEGER NOT NULL,
    PRIMARY KEY (notice, webhook)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (due_at, notice);
CREATE INDEX deliveries_webhook ON deliveries (webhook);
