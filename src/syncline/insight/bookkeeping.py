"""Tables in which migration tools keep book: of no use in documents, and rewritten behind everybody's back."""

from __future__ import annotations

from collections.abc import Mapping

from syncline.model.entity import Shape

_BY_NAME: Mapping[str, str] = {
    "alembic_version": "Alembic",
    "django_migrations": "Django",
    "schema_migrations": "Rails, golang-migrate, dbmate or Ecto",
    "ar_internal_metadata": "Rails",
    "flyway_schema_history": "Flyway",
    "databasechangelog": "Liquibase",
    "databasechangeloglock": "Liquibase",
    "_prisma_migrations": "Prisma",
    "knex_migrations": "Knex",
    "knex_migrations_lock": "Knex",
    "kysely_migration": "Kysely",
    "kysely_migration_lock": "Kysely",
    "sequelizemeta": "Sequelize",
    "sequelizedata": "Sequelize",
    "typeorm_metadata": "TypeORM",
    "__drizzle_migrations": "Drizzle",
    "goose_db_version": "Goose",
    "gorp_migrations": "sql-migrate",
    "mikro_orm_migrations": "MikroORM",
    "pgmigrations": "node-pg-migrate",
    "refinery_schema_history": "Refinery",
    "__diesel_schema_migrations": "Diesel",
    "_sqlx_migrations": "SQLx",
    "seaql_migrations": "SeaORM",
    "atlas_schema_revisions": "Atlas",
    "phinxlog": "Phinx",
    "doctrine_migration_versions": "Doctrine",
    "__efmigrationshistory": "Entity Framework",
    "_yoyo_migration": "yoyo",
    "_yoyo_log": "yoyo",
    "_yoyo_version": "yoyo",
    "yoyo_lock": "yoyo",
    "play_evolutions": "Play",
    "spatial_ref_sys": "PostGIS",
}
_BY_SCHEMA: Mapping[str, str] = {
    "sqitch": "Sqitch",
    "drizzle": "Drizzle",
    "atlas_schema_revisions": "Atlas",
    "graphile_migrate": "Graphile Migrate",
    "supabase_migrations": "Supabase",
}
# Names that an application may well use itself: the columns must be those of the tool.
_BY_COLUMNS: Mapping[str, Mapping[frozenset[str], str]] = {
    "migrations": {
        frozenset({"id", "timestamp", "name"}): "TypeORM",
        frozenset({"id", "migration", "batch"}): "Laravel",
    },
    "migration_versions": {frozenset({"version", "executed_at"}): "Doctrine"},
    "schema_version": {
        frozenset({"installed_rank", "version", "description", "type", "script", "checksum", "installed_by"}): "Flyway"
    },
}


def migration_tool(shape: Shape) -> str | None:
    """Name the migration tool that keeps book in this table; ``None``: it is not one of theirs."""
    name = shape.table.name.lower()
    tool = _BY_NAME.get(name) or _BY_SCHEMA.get(shape.table.schema)
    if tool is not None:
        return tool
    columns = {column.name for column in shape.columns}
    return next((tool for known, tool in _BY_COLUMNS.get(name, {}).items() if known <= columns), None)
