-- Statements about the schema itself.

-- name: server_encoding
-- How the database keeps texts.
SELECT pg_catalog.pg_encoding_to_char(encoding) FROM pg_catalog.pg_database WHERE datname = current_database();

-- name: has_schema
-- Whether the table is there.
SELECT to_regclass(:name)::text;

-- name: has_namespace
-- Whether the schema is there.
SELECT to_regnamespace(:name)::text;

-- name: create_schema_version
-- Steps that were taken, by kind: `store` or `logs`. `serves` is the oldest schema whose releases work on it.
CREATE TABLE IF NOT EXISTS limpet.schema_version (
    kind text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    release text NOT NULL,
    serves integer NOT NULL,
    PRIMARY KEY (kind, number)
);

-- name: newest_step
-- The step that was taken last.
SELECT number, release, serves FROM limpet.schema_version WHERE kind = :kind ORDER BY number DESC LIMIT 1;

-- name: queue_for_migration
-- One migration at a time; readers go on.
LOCK TABLE limpet.schema_version IN SHARE ROW EXCLUSIVE MODE;

-- name: record_step
-- A step that was taken.
INSERT INTO limpet.schema_version (kind, number, name, release, serves)
VALUES (:kind, :number, :name, :release, :serves);
