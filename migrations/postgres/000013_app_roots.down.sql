DROP TABLE app_roots;
