DROP TABLE quotas;
DROP TABLE domains;
