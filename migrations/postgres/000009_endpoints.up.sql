-- The endpoints that apps have registered, which are checked regularly. IDs are in the order of time.

CREATE TABLE endpoints (
    id         TEXT COLLATE "C" PRIMARY KEY,
    app        TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    url        TEXT COLLATE "C" NOT NULL,                        -- in normal form
    slot       INTEGER NOT NULL,                    -- a number of its own among the app's, of which there are as many as it may have
    name       TEXT NOT NULL,                       -- the host
    reversed   TEXT COLLATE "C" NOT NULL,                        -- the host, and the wildcard that covers it, as in certificate_names
    wildcard   TEXT COLLATE "C" NOT NULL,
    callback   BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    created_by TEXT NOT NULL,
    due_at     TIMESTAMPTZ NOT NULL,                      -- when it is checked next
    cause      TEXT NOT NULL,
    seen_at    TIMESTAMPTZ NOT NULL,                      -- certificates issued until then have had their check
    checked_at TIMESTAMPTZ,
    check_id   TEXT NOT NULL,
    summary    TEXT NOT NULL,
    alerts     TEXT NOT NULL,                       -- space-separated
    version    INTEGER NOT NULL,
    UNIQUE (app, url),
    UNIQUE (app, slot)
);
CREATE INDEX endpoints_due ON endpoints (due_at, id);
CREATE INDEX endpoints_app ON endpoints (app, id);
