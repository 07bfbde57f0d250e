"""The model by which Django's admin shows how collections stand; it has no table."""

from __future__ import annotations

from django.db import models

from syncline.contrib.django.project import has_documents

if has_documents():

    class CollectionState(models.Model):  # type: ignore[misc]
        """How a collection stands; read from both databases when it is shown."""

        name = models.TextField(primary_key=True)

        class Meta:
            """Nothing is kept."""

            managed = False
            default_permissions = ("view",)
            verbose_name_plural = "collections"

        def __str__(self) -> str:
            """Give its name."""
            return str(self.name)
