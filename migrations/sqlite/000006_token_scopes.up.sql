ALTER TABLE tokens ADD COLUMN scopes TEXT NOT NULL DEFAULT ''; -- actions, space-separated; empty: all of the role's
ALTER TABLE tokens ADD COLUMN superseded_at INTEGER; -- it was rotated, and ends then
