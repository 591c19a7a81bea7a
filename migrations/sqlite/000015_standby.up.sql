-- Roll-over: authorities that stand by, those that are not to be trusted any more, and which endpoints would let the platform in under which.

ALTER TABLE authorities ADD COLUMN stands_by TEXT NOT NULL DEFAULT '';      -- the profiles that it is to issue, space-separated
ALTER TABLE authorities ADD COLUMN retired_at INTEGER;                      -- NULL: it is trusted
ALTER TABLE endpoints ADD COLUMN ready TEXT NOT NULL DEFAULT '';            -- authorities that stand by, by the last check, space-separated
ALTER TABLE endpoints ADD COLUMN unready TEXT NOT NULL DEFAULT '';
