-- CA certificates, beside the public ones and ours, under which the apps' own server certificates stand.

CREATE TABLE app_roots (
    app         TEXT NOT NULL REFERENCES apps (id),
    fingerprint BLOB NOT NULL,                      -- SHA-256
    slot        INTEGER NOT NULL,                   -- a number of its own among the app's, of which there are as many as it may have
    certificate BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL,
    PRIMARY KEY (app, fingerprint),
    UNIQUE (app, slot)
) STRICT;
