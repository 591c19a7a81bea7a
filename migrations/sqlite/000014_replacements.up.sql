-- Certificates that an operator wants to have replaced.

CREATE TABLE replacements (
    serial     BLOB PRIMARY KEY REFERENCES certificates (serial),
    replace_by INTEGER NOT NULL,
    planned_at INTEGER NOT NULL,
    not_after  INTEGER NOT NULL                 -- of the certificate
) STRICT;
CREATE INDEX replacements_order ON replacements (replace_by, serial);
CREATE INDEX replacements_expiry ON replacements (not_after);
