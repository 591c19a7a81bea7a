DROP INDEX revocations_end;
DROP TABLE unpublished;
DROP TABLE crl_parts;
DROP TABLE crls;
