DROP TABLE blocked_keys;
