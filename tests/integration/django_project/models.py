"""Models of both databases; the last two are what the checks find."""

import os

from django.db import models


class Customer(models.Model):
    name = models.TextField()


class Zone(models.Model):
    name = models.TextField()


class Carrier(models.Model):
    name = models.TextField()
    zones = models.ManyToManyField(Zone)


if os.environ.get("FAULTY"):

    class Order(models.Model):
        carrier = models.ForeignKey(Carrier, models.CASCADE)

        class Meta:
            db_table = "shop_customer_orders"

    class Shipment(models.Model):
        customer = models.ForeignKey(Customer, models.CASCADE)

        class Meta:
            db_table = "shop_carrier"
