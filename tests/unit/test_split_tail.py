"""The comparison of what was written last, without a server."""

from __future__ import annotations

from syncline.model.entity import TableName
from syncline.split.moving.tail import _query


def test_names_with_percent_signs_are_no_parameters() -> None:
    statement = _query(TableName("pub%lic", "10%s"), ["a %s", "b"], ["integer", "text"]).as_string()
    assert '"pub%%lic"."10%%s"' in statement
    assert statement.count('t."a %%s"') == 2
    assert statement.replace("%%", "").count("%s") == 2, "an array of keys for each column"
