-- What relying parties are told: the revocation list of each authority, and what it does not show yet.

-- The latest list of each authority. Its DER is head, then the entries of its parts in their order, then tail.
CREATE TABLE crls (
    authority    TEXT PRIMARY KEY,
    number       INTEGER NOT NULL,  -- only ever rises
    this_update  INTEGER NOT NULL,
    next_update  INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    regular_at   INTEGER NOT NULL,  -- when the latest one on schedule was published, this one or one before
    lists_from   INTEGER NOT NULL,  -- it lists every revoked certificate whose end is at this time or later
    entries      INTEGER NOT NULL,  -- how many
    head         BLOB NOT NULL,
    tail         BLOB NOT NULL
) STRICT;

-- Its entries, encoded, in the order in which they were published. To add one rewrites the last part only.
CREATE TABLE crl_parts (
    authority TEXT NOT NULL,
    part      INTEGER NOT NULL,  -- 0, 1, 2 …
    number    INTEGER NOT NULL,  -- of the list that wrote it last
    entries   BLOB NOT NULL,
    PRIMARY KEY (authority, part)
) STRICT;

-- A row for each change of a revocation, made with it, and removed with the publication of the first list that shows it: so nothing hangs on
-- clocks, or on the order of commits.
CREATE TABLE unpublished (
    authority TEXT NOT NULL,
    id        BLOB NOT NULL,  -- of the event of the change
    serial    BLOB NOT NULL,
    PRIMARY KEY (authority, id, serial)
) STRICT, WITHOUT ROWID;
INSERT INTO unpublished (authority, id, serial) SELECT authority, serial, serial FROM revocations;

CREATE INDEX revocations_end ON revocations (authority, not_after, serial);
