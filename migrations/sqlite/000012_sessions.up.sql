-- Who is signed in to the web pages, and the links that sign somebody in once.
CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,  -- SHA-256 of the link or, once it has begun, of the cookie
    token      TEXT NOT NULL, -- ID of the token that it stands on, or who it is for an identity provider
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    app        TEXT REFERENCES apps (id),
    scopes     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    begun_at   INTEGER,            -- NULL: a link that nobody has opened
    last_used  INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    CHECK ((role = 'developer') = (app IS NOT NULL))
) STRICT;
CREATE INDEX sessions_token ON sessions (token);
CREATE INDEX sessions_last_used ON sessions (last_used);
CREATE INDEX sessions_end ON sessions (ends_at);
