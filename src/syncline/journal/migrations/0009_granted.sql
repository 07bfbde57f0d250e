-- Roles get rights to read the synced tables; they go with Syncline.
CREATE TABLE IF NOT EXISTS syncline.granted (
    role   text NOT NULL,
    schema text NOT NULL,
    name   text NOT NULL DEFAULT '',
    PRIMARY KEY (role, schema, name)
);
COMMENT ON TABLE syncline.granted IS
    'What `syncline install` granted outside of this schema: SELECT on a table, or (no name) USAGE of a schema. `uninstall` revokes it.';
