-- The tests of developers' endpoints from outside. IDs are in the order of time.

CREATE TABLE checks (
    id          TEXT PRIMARY KEY,
    app         TEXT,                                -- NULL: an operator's
    url         TEXT NOT NULL,                       -- in normal form, without a query
    address     TEXT NOT NULL,                      -- the only one to go to; empty: those of the name
    callback    INTEGER NOT NULL,
    cause       TEXT NOT NULL,
    asked_by    TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    state       TEXT NOT NULL,
    due_at      INTEGER,                              -- when the next process takes it up; NULL: it has ended
    tries       INTEGER NOT NULL,
    finished_at INTEGER,
    failure     TEXT NOT NULL,
    facts       TEXT NOT NULL,                      -- JSON
    since       TEXT NOT NULL,                      -- the check that changes compare with; empty: none
    changes     TEXT NOT NULL,                      -- JSON
    report      BLOB                              -- JSON, deflated; NULL: none
) STRICT;
CREATE INDEX checks_created ON checks (created_at);
CREATE INDEX checks_app ON checks (app, id);
CREATE INDEX checks_url ON checks (url, id);
CREATE INDEX checks_app_url ON checks (app, url, id);
CREATE INDEX checks_due ON checks (due_at, id) WHERE due_at IS NOT NULL;
