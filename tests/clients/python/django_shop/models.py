"""An application's tables: of every kind of field, constraint and index that Django has for PostgreSQL."""
import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex, HashIndex
from django.db import models
from django.db.models import F, Q


class Owner(models.Model):
    name = models.CharField(max_length=40, unique=True)
    nick = models.SlugField(null=True)
    joined = models.DateTimeField(auto_now_add=True)
    class Meta:
        ordering = ["name"]


class Tag(models.Model):
    label = models.CharField(max_length=20, db_index=True, db_comment="what it says")
    class Meta:
        db_table_comment = "tags"


class Item(models.Model):
    key = models.UUIDField(primary_key=True, default=uuid.uuid4)
    owner = models.ForeignKey(Owner, on_delete=models.CASCADE, related_name="items")
    tags = models.ManyToManyField(Tag)
    price = models.DecimalField(max_digits=20, decimal_places=8, default=1)
    count = models.PositiveIntegerField(default=0)
    small = models.PositiveSmallIntegerField(null=True)
    big = models.BigIntegerField(null=True)
    text = models.TextField(blank=True, default="")
    day = models.DateField(null=True)
    at = models.TimeField(null=True)
    span = models.DurationField(null=True)
    ok = models.BooleanField(default=True)
    ratio = models.FloatField(null=True)
    raw = models.BinaryField(null=True)
    data = models.JSONField(null=True)
    ip = models.GenericIPAddressField(null=True)
    marks = ArrayField(models.IntegerField(), null=True)
    twice = models.GeneratedField(expression=F("price") * 2, output_field=models.DecimalField(max_digits=22, decimal_places=8), db_persist=True)
    class Meta:
        constraints = [models.CheckConstraint(condition=Q(price__gte=0), name="price_ok"),
            models.UniqueConstraint(fields=["owner", "day"], name="one_a_day"),
            models.UniqueConstraint(fields=["owner"], condition=Q(ok=False), name="one_bad", include=["price"]),
            models.UniqueConstraint(models.functions.Lower("text"), "day", name="low_text")]
        indexes = [models.Index(fields=["-day", "price"], name="day_price"), models.Index(fields=["owner"], include=["price"], name="own_inc"),
            models.Index(models.functions.Upper("text"), name="up_text"), HashIndex(fields=["big"], name="big_hash"), BrinIndex(fields=["day"], name="day_brin"),
            models.Index(fields=["text"], name="text_like", opclasses=["text_pattern_ops"])]
