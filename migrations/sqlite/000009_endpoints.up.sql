-- The endpoints that apps have registered, which are checked regularly. IDs are in the order of time.

CREATE TABLE endpoints (
    id         TEXT PRIMARY KEY,
    app        TEXT NOT NULL REFERENCES apps (id),
    url        TEXT NOT NULL,                        -- in normal form
    slot       INTEGER NOT NULL,                    -- a number of its own among the app's, of which there are as many as it may have
    name       TEXT NOT NULL,                       -- the host
    reversed   TEXT NOT NULL,                        -- the host, and the wildcard that covers it, as in certificate_names
    wildcard   TEXT NOT NULL,
    callback   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    due_at     INTEGER NOT NULL,                      -- when it is checked next
    cause      TEXT NOT NULL,
    seen_at    INTEGER NOT NULL,                      -- certificates issued until then have had their check
    checked_at INTEGER,
    check_id   TEXT NOT NULL,
    summary    TEXT NOT NULL,
    alerts     TEXT NOT NULL,                       -- space-separated
    version    INTEGER NOT NULL,
    UNIQUE (app, url),
    UNIQUE (app, slot)
) STRICT;
CREATE INDEX endpoints_due ON endpoints (due_at, id);
CREATE INDEX endpoints_app ON endpoints (app, id);
