-- Certificates that an operator wants to have replaced.

CREATE TABLE replacements (
    serial     BYTEA PRIMARY KEY REFERENCES certificates (serial),
    replace_by TIMESTAMPTZ NOT NULL,
    planned_at TIMESTAMPTZ NOT NULL,
    not_after  TIMESTAMPTZ NOT NULL                 -- of the certificate
);
CREATE INDEX replacements_order ON replacements (replace_by, serial);
CREATE INDEX replacements_expiry ON replacements (not_after);
