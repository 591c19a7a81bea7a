-- An app's own quotas, instead of those that every app has: a JSON object of numbers by the names of the settings.

ALTER TABLE apps ADD COLUMN quotas TEXT NOT NULL DEFAULT '{}';
