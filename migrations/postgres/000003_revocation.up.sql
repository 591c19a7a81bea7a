-- What relying parties are told: the revocation list of each authority, and what it does not show yet.

-- The latest list of each authority. Its DER is head, then the entries of its parts in their order, then tail.
CREATE TABLE crls (
    authority    TEXT COLLATE "C" PRIMARY KEY,
    number       BIGINT NOT NULL,  -- only ever rises
    this_update  TIMESTAMPTZ NOT NULL,
    next_update  TIMESTAMPTZ NOT NULL,
    published_at TIMESTAMPTZ NOT NULL,
    regular_at   TIMESTAMPTZ NOT NULL,  -- when the latest one on schedule was published, this one or one before
    lists_from   TIMESTAMPTZ NOT NULL,  -- it lists every revoked certificate whose end is at this time or later
    entries      BIGINT NOT NULL,  -- how many
    head         BYTEA NOT NULL,
    tail         BYTEA NOT NULL
);

-- Its entries, encoded, in the order in which they were published. To add one rewrites the last part only.
CREATE TABLE crl_parts (
    authority TEXT COLLATE "C" NOT NULL,
    part      BIGINT NOT NULL,  -- 0, 1, 2 …
    number    BIGINT NOT NULL,  -- of the list that wrote it last
    entries   BYTEA NOT NULL,
    PRIMARY KEY (authority, part)
);

-- A row for each change of a revocation, made with it, and removed with the publication of the first list that shows it: so nothing hangs on
-- clocks, or on the order of commits.
CREATE TABLE unpublished (
    authority TEXT COLLATE "C" NOT NULL,
    id        BYTEA NOT NULL,  -- of the event of the change
    serial    BYTEA NOT NULL,
    PRIMARY KEY (authority, id, serial)
);
INSERT INTO unpublished (authority, id, serial) SELECT authority, serial, serial FROM revocations;

CREATE INDEX revocations_end ON revocations (authority, not_after, serial);
