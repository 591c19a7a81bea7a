DROP INDEX acme_orders_open;
DROP INDEX acme_orders_replaces;
CREATE INDEX acme_orders_replaces ON acme_orders (replaces) WHERE replaces IS NOT NULL;
ALTER TABLE acme_orders DROP COLUMN not_after;
ALTER TABLE acme_orders DROP COLUMN not_before;
