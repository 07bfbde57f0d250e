"""The one entity of the benchmarks."""

from __future__ import annotations

from syncline.model.entity import Entity, TableName

TODO = Entity("todo", TableName("public", "todo"), "todos")
