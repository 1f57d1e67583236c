#!/bin/sh
# Makes the two roles of the service in a new database. gonogo_owner owns the tables and runs the migrations;
# gonogo_service reads and writes rows, and can neither alter nor drop a table.
set -eu
psql -v ON_ERROR_STOP=1 -v owner_password="$OWNER_PASSWORD" -v service_password="$SERVICE_PASSWORD" \
    --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE gonogo_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE gonogo_service LOGIN PASSWORD :'service_password';
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO gonogo_owner, gonogo_service;
ALTER SCHEMA public OWNER TO gonogo_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO gonogo_service;
ALTER DEFAULT PRIVILEGES FOR ROLE gonogo_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO gonogo_service;
ALTER DEFAULT PRIVILEGES FOR ROLE gonogo_owner IN SCHEMA public GRANT USAGE ON SEQUENCES TO gonogo_service;
SQL
