"""Names of tables and functions as statements write them."""

from __future__ import annotations

import re
from typing import NamedTuple

_SYSTEM = frozenset({"pg_catalog", "information_schema", "pg_toast"})
_RELATIONS = """
    aggregate aios am amop amproc attrdef attribute auth_members authid available_extension_versions
    available_extensions backend_memory_contexts cast class collation config constraint conversion cursors
    database db_role_setting default_acl depend description enum event_trigger extension file_settings
    foreign_data_wrapper foreign_server foreign_table group hba_file_rules ident_file_mappings index indexes
    inherits init_privs language largeobject largeobject_metadata locks matviews namespace opclass operator
    opfamily parameter_acl partitioned_table policies policy prepared_statements prepared_xacts proc
    publication publication_namespace publication_rel publication_tables range replication_origin
    replication_origin_status replication_slots rewrite roles rules seclabel seclabels sequence sequences
    settings shadow shdepend shdescription shmem_allocations shmem_allocations_numa shseclabel statistic
    statistic_ext statistic_ext_data stats stats_ext stats_ext_exprs subscription subscription_rel tables
    tablespace timezone_abbrevs timezone_names transform trigger ts_config ts_config_map ts_dict ts_parser
    ts_template type user user_mapping user_mappings views wait_events
"""
_CATALOG = frozenset(f"pg_{name}" for name in _RELATIONS.split())
"""Relations of pg_catalog in PostgreSQL 14 to 18. A user's own table may begin with pg_, too."""
_STATISTICS = ("pg_stat_", "pg_statio_")
"""How others of them begin, and some of extensions."""
_PART = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^".]+))\s*(?:\.|$)')


class Name(NamedTuple):
    """A name with the schema that was written before it, if any."""

    schema: str | None
    name: str

    @property
    def is_system(self) -> bool:
        """Whether it is PostgreSQL's own, or a temporary table by its schema: such a table is in every database."""
        if self.schema is None:
            return self.name in _CATALOG or self.name.startswith(_STATISTICS)
        return self.schema in _SYSTEM or self.schema.startswith("pg_temp")

    @classmethod
    def read(cls, text: str) -> Name:
        """Read ``table``, ``schema.table`` or ``"Quoted"."Names"``; what is not quoted is folded to lower case."""
        parts = [quoted.replace('""', '"') or plain.strip().lower() for quoted, plain in _PART.findall(text)]
        return cls(parts[-2] if len(parts) > 1 else None, parts[-1] if parts else text)

    def __str__(self) -> str:
        """Write it as SQL does."""
        return ".".join(_quoted(part) for part in (self.schema, self.name) if part is not None)


def _quoted(part: str) -> str:
    return part if re.fullmatch(r"[a-z_][a-z0-9_$]*", part) else '"' + part.replace('"', '""') + '"'
