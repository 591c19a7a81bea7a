-- Public keys that no certificate is issued for any more: those of certificates that were revoked for keyCompromise. They are never forgotten.
CREATE TABLE blocked_keys (
    spki_hash  BLOB PRIMARY KEY,
    serial     BLOB NOT NULL,                     -- the first certificate with the key that was revoked so
    blocked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO blocked_keys (spki_hash, serial, blocked_at)
    SELECT c.spki_hash, r.serial, r.revoked_at FROM revocations r JOIN certificates c ON c.serial = r.serial WHERE r.reason = 1
    ON CONFLICT (spki_hash) DO NOTHING;
