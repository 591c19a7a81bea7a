ALTER TABLE endpoints DROP COLUMN unready;
ALTER TABLE endpoints DROP COLUMN ready;
ALTER TABLE authorities DROP COLUMN retired_at;
ALTER TABLE authorities DROP COLUMN stands_by;
