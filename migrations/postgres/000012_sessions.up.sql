-- Who is signed in to the web pages, and the links that sign somebody in once.
CREATE TABLE sessions (
    id         TEXT COLLATE "C" PRIMARY KEY,
    hash       BYTEA NOT NULL UNIQUE,  -- SHA-256 of the link or, once it has begun, of the cookie
    token      TEXT COLLATE "C" NOT NULL, -- ID of the token that it stands on, or who it is for an identity provider
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    app        TEXT COLLATE "C" REFERENCES apps (id),
    scopes     TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    begun_at   TIMESTAMPTZ,            -- NULL: a link that nobody has opened
    last_used  TIMESTAMPTZ NOT NULL,
    ends_at    TIMESTAMPTZ NOT NULL,
    CHECK ((role = 'developer') = (app IS NOT NULL))
);
CREATE INDEX sessions_token ON sessions (token);
CREATE INDEX sessions_last_used ON sessions (last_used);
CREATE INDEX sessions_end ON sessions (ends_at);
