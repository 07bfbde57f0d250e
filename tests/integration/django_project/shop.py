"""The project's application."""

from django.apps import AppConfig


class Shop(AppConfig):
    name = "tests.integration.django_project"
    label = "shop"
