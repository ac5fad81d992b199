#!/bin/sh
# Run once, by the PostgreSQL image, when its volume is new: a role and a database for each program.
set -eu
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" \
  --set=annotator="$ANNOTATOR_DB_PASSWORD" --set=studio="$STUDIO_DB_PASSWORD" <<'SQL'
CREATE ROLE annotator LOGIN PASSWORD :'annotator';
CREATE DATABASE annotator OWNER annotator;
REVOKE ALL ON DATABASE annotator FROM PUBLIC;
CREATE ROLE studio LOGIN PASSWORD :'studio';
CREATE DATABASE studio OWNER studio;
REVOKE ALL ON DATABASE studio FROM PUBLIC;
SQL
