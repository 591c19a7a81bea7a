-- The tests of developers' endpoints from outside. IDs are in the order of time.

CREATE TABLE checks (
    id          TEXT COLLATE "C" PRIMARY KEY,
    app         TEXT COLLATE "C",                                -- NULL: an operator's
    url         TEXT COLLATE "C" NOT NULL,                       -- in normal form, without a query
    address     TEXT NOT NULL,                      -- the only one to go to; empty: those of the name
    callback    BOOLEAN NOT NULL,
    cause       TEXT NOT NULL,
    asked_by    TEXT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    state       TEXT NOT NULL,
    due_at      TIMESTAMPTZ,                              -- when the next process takes it up; NULL: it has ended
    tries       INTEGER NOT NULL,
    finished_at TIMESTAMPTZ,
    failure     TEXT NOT NULL,
    facts       TEXT NOT NULL,                      -- JSON
    since       TEXT NOT NULL,                      -- the check that changes compare with; empty: none
    changes     TEXT NOT NULL,                      -- JSON
    report      BYTEA                              -- JSON, deflated; NULL: none
);
CREATE INDEX checks_created ON checks (created_at);
CREATE INDEX checks_app ON checks (app, id);
CREATE INDEX checks_url ON checks (url, id);
CREATE INDEX checks_app_url ON checks (app, url, id);
CREATE INDEX checks_due ON checks (due_at, id) WHERE due_at IS NOT NULL;
