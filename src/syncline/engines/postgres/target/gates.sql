-- The gates of moves (split/switching/gate.sql) in a target's database.

-- name: exists
SELECT pg_catalog.to_regclass('syncline_gate.gate') IS NOT NULL

-- name: gates
SELECT name, mode, link FROM syncline_gate.gate
