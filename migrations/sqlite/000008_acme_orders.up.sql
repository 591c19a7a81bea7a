-- What an order says about the validity of its certificate, and that one order at most replaces a certificate.

ALTER TABLE acme_orders ADD COLUMN not_before INTEGER; -- as wished; NULL: the CA chooses
ALTER TABLE acme_orders ADD COLUMN not_after INTEGER;

-- Of several orders that replace one certificate the one that has its own keeps the word, the first of them if there are more.
UPDATE acme_orders SET replaces = NULL WHERE replaces IS NOT NULL AND (serial IS NULL OR EXISTS (
    SELECT 1 FROM acme_orders o WHERE o.replaces = acme_orders.replaces AND o.serial IS NOT NULL AND (o.created_at, o.id) < (acme_orders.created_at, acme_orders.id)));
DROP INDEX acme_orders_replaces;
CREATE UNIQUE INDEX acme_orders_replaces ON acme_orders (replaces) WHERE replaces IS NOT NULL;

-- The open orders of an account.
CREATE INDEX acme_orders_open ON acme_orders (account, expires_at) WHERE serial IS NULL;
