ALTER TABLE tokens DROP COLUMN superseded_at;
ALTER TABLE tokens DROP COLUMN scopes;
