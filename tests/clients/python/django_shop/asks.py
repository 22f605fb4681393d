"""What an application asks through Django's ORM: each answer as a text under its name."""
import datetime
import decimal
import uuid

from django.contrib.auth.models import Permission, User
from django.contrib.postgres.aggregates import ArrayAgg, BoolOr, JSONBAgg, StringAgg
from django.db import connection, models, transaction
from django.db.models import *
from django.db.models.functions import *

from .models import Item, Owner, Tag


def answers():
    """Runs everything in order; names and answers."""
    told = []

    def A(name, ask):
        try:
            with transaction.atomic():
                value = ask()
                told.append((name, repr(list(value) if isinstance(value, models.query.QuerySet) else value)))
        except Exception as error:
            # Names and numbers in details are made by chance.
            told.append((name, f"{type(error).__name__} {str(error).splitlines()[0]}"))

    ada = Owner.objects.create(name="Ada")
    bob = Owner.objects.create(name="bob", nick="b")
    Owner.objects.bulk_create([Owner(name=f"o{i}") for i in range(50)], batch_size=20)
    tags = Tag.objects.bulk_create([Tag(label=l) for l in "abc"])
    keys = [uuid.UUID(int=i) for i in range(1, 8)]
    items = Item.objects.bulk_create([Item(key=k, owner=ada if i % 2 else bob, price=decimal.Decimal(i) + decimal.Decimal("0.5"), count=i, small=i, big=i*10**12, text=f"Text {i}", day=datetime.date(2024,1,1+i), at=datetime.time(1,2,i), span=datetime.timedelta(days=i, seconds=3), ratio=i/3, raw=bytes([i,255]), data={"a": i, "b": [1, {"c": "x%d" % i}], "n": None}, ip=f"10.0.0.{i}", marks=[i, i+1]) for i, k in enumerate(keys)])
    items[0].tags.add(*tags); items[1].tags.add(tags[0])
    A("refresh", lambda: (items[2].refresh_from_db(), items[2].twice, items[2].raw.tobytes() if hasattr(items[2].raw,'tobytes') else items[2].raw, items[2].span, items[2].ip, items[2].data, items[2].marks)[1:])
    A("filter", lambda: Item.objects.filter(price__gt=2, owner__name__iexact="ADA").order_by("key").values_list("key", "price", "twice"))
    A("contains", lambda: Item.objects.filter(text__icontains="EXT 3").count())
    A("startswith", lambda: Item.objects.filter(text__startswith="Text", owner__name__istartswith="a").count())
    A("regex", lambda: Item.objects.filter(text__regex=r"^Text [0-2]$", text__iregex="text").count())
    A("json", lambda: Item.objects.filter(data__a__gte=3, data__b__1__c="x4").values_list("data__b__1__c", flat=True))
    A("json has", lambda: (Item.objects.filter(data__has_key="a").count(), Item.objects.filter(data__contains={"a": 1}).count(), Item.objects.filter(data__n=None).count(), Item.objects.filter(data__n__isnull=True).count(), Item.objects.filter(data__has_any_keys=["z", "a"]).count()))
    A("array", lambda: (Item.objects.filter(marks__contains=[3]).count(), Item.objects.filter(marks__overlap=[1, 6]).count(), Item.objects.filter(marks__len=2).count(), Item.objects.filter(marks__0=3).count(), Item.objects.filter(marks__contained_by=[1,2,3]).count(), Item.objects.filter(marks__0_1=[3]).count()))
    A("aggregate", lambda: Item.objects.aggregate(Sum("price"), Avg("price"), Max("day"), Min("at"), Count("owner", distinct=True), StdDev("ratio"), Variance("count")))
    A("annotate", lambda: Owner.objects.annotate(n=Count("items"), s=Coalesce(Sum("items__price"), Value(decimal.Decimal(0)))).filter(n__gt=0).order_by("id").values_list("name", "n", "s"))
    A("filter agg", lambda: Owner.objects.annotate(n=Count("items", filter=Q(items__price__gt=3))).filter(n__gt=0).order_by("id").values_list("name", "n"))
    A("pg agg", lambda: Owner.objects.filter(items__isnull=False).annotate(l=ArrayAgg("items__count", order_by="-items__count"), t=StringAgg("items__text", delimiter=",", order_by="items__text"), b=BoolOr("items__ok")).order_by("name").values_list("name", "l", "t", "b"))
    A("jsonagg", lambda: Item.objects.aggregate(x=JSONBAgg("count", order_by="count")))
    A("subquery", lambda: Owner.objects.annotate(last=Subquery(Item.objects.filter(owner=OuterRef("pk")).order_by("-day").values("price")[:1])).filter(last__isnull=False).order_by("name").values_list("name", "last"))
    A("exists", lambda: Owner.objects.filter(Exists(Item.objects.filter(owner=OuterRef("pk"), price__gt=5))).order_by("name").values_list("name", flat=True))
    A("notexists", lambda: Owner.objects.filter(~Exists(Item.objects.filter(owner=OuterRef("pk")))).count())
    A("window", lambda: Item.objects.annotate(r=Window(Rank(), partition_by="owner", order_by=F("price").desc()), p=Window(Lag("price"), order_by="key")).order_by("key").values_list("r", "p"))
    A("window filter", lambda: Item.objects.annotate(r=Window(RowNumber(), partition_by="owner", order_by=F("price").desc())).filter(r=1).order_by("key").values_list("key", "r"))
    A("trunc", lambda: Item.objects.annotate(m=TruncMonth("day"), w=ExtractWeek("day"), y=ExtractYear("day"), q=ExtractQuarter("day"), d=ExtractIsoWeekDay("day"), h=ExtractHour("at")).order_by("key").values_list("m", "w", "y", "q", "d", "h")[:2])
    A("trunc tz", lambda: Owner.objects.filter(name="Ada").annotate(d=TruncDate("joined"), h=TruncHour("joined")).values_list("d").count())
    A("case", lambda: Item.objects.annotate(k=Case(When(price__lt=2, then=Value("cheap")), default=Value("dear"))).values_list("k").annotate(n=Count("key")).order_by("k"))
    A("f update", lambda: (Item.objects.filter(owner=ada).update(price=F("price") + 1, count=F("count") * 2), list(Item.objects.order_by("key").values_list("price", "twice", "count"))))
    A("get_or_create", lambda: (Tag.objects.get_or_create(label="a")[1], Tag.objects.update_or_create(label="z", defaults={"label": "zz"})[1]))
    A("upsert", lambda: len(Owner.objects.bulk_create([Owner(name="Ada", nick="new"), Owner(name="New")], update_conflicts=True, unique_fields=["name"], update_fields=["nick"])))
    A("ignore", lambda: len(Owner.objects.bulk_create([Owner(name="Ada")], ignore_conflicts=True)))
    A("bulk_update", lambda: (Item.objects.bulk_update([setattr(i, "text", i.text + "!") or i for i in items], ["text"]), list(Item.objects.order_by("key").values_list("text", flat=True))))
    A("select_related", lambda: [(i.owner.name, [t.label for t in i.tags.all()]) for i in Item.objects.select_related("owner").prefetch_related(Prefetch("tags", Tag.objects.order_by("label"))).order_by("key")])
    A("for update", lambda: [i.count for i in Item.objects.select_for_update(of=("self",), skip_locked=True).filter(owner=bob).order_by("key")])
    A("union", lambda: Owner.objects.filter(name="Ada").values_list("name").union(Tag.objects.values_list("label")).order_by("name"))
    A("intersection", lambda: Owner.objects.filter(name__lt="b").values_list("name").intersection(Owner.objects.values_list("name")).order_by("name"))
    A("difference", lambda: Owner.objects.filter(name__in=["Ada", "bob"]).values_list("name").difference(Owner.objects.filter(name="bob").values_list("name")))
    A("distinct on", lambda: Item.objects.order_by("owner__name", "-price").distinct("owner__name").values_list("owner__name", "price"))
    A("dates", lambda: list(Item.objects.dates("day", "month")))
    A("in subquery", lambda: Item.objects.filter(owner__in=Owner.objects.filter(nick__isnull=True)).count())
    A("functions", lambda: Owner.objects.filter(name="Ada").annotate(a=Concat("name", Value("x")), b=Length("name"), c=Substr("name", 1, 2), d=Replace("name", Value("A"), Value("B")), e=MD5("name"), f=LPad("name", 6, Value("-")), g=StrIndex("name", Value("d")), h=Reverse("name"), i=Cast("id", CharField()), j=Greatest("id", Value(3)), k=NullIf("name", Value("Ada")), m=Chr(Value(65)), n=Ord("name"), o=Repeat("name", 2), p=Left("name", 1), q=Trim(Value(" x "))).values_list("a","b","c","d","e","f","g","h","i","j","k","m","n","o","p","q"))
    A("math", lambda: Item.objects.order_by("key").annotate(a=Abs("ratio"), b=Ceil("ratio"), c=Round("ratio", 2), d=Power("ratio", 2), e=Sqrt("ratio"), f=Mod("count", 2), g=Sign("ratio"), h=Log(Value(2), Value(8)), i=ATan2("ratio", Value(1.0)), j=Pi()).values_list("a","b","c","d","e","f","g","h","i","j")[2])
    A("unique", lambda: Owner.objects.create(name="Ada"))
    A("check", lambda: Item.objects.create(owner=bob, price=-1))
    A("cond unique", lambda: Item.objects.filter(owner=ada).update(ok=False))
    A("func unique", lambda: Item.objects.create(owner=bob, text="TEXT 0!", day=datetime.date(2024,1,1)))
    A("fk", lambda: Item.objects.create(owner_id=999999) and connection.check_constraints())
    A("validate", lambda: Item(owner=bob, price=-1).validate_constraints())
    A("validate2", lambda: Item(owner=bob, text="TEXT 0!", day=datetime.date(2024,1,1)).validate_constraints())
    A("user", lambda: (User.objects.create_user("u", password="p").has_perm("x"), User.objects.create_superuser("s").has_perm("django_shop.add_item"), Permission.objects.filter(content_type__app_label="django_shop").count()))
    A("raw", lambda: [o.n for o in Owner.objects.raw("SELECT *, 1 AS n FROM django_shop_owner WHERE name = %s", ["Ada"])])
    A("explain", lambda: len(Owner.objects.filter(name="Ada").explain(format="json", analyze=True)) > 0)
    A("iterator", lambda: sum(1 for _ in Owner.objects.iterator(chunk_size=10)))
    A("delete", lambda: Item.objects.filter(price__gt=6).delete())
    A("savepoint", rolled_back)
    A("introspect", lambda: sorted(connection.introspection.table_names()))
    with connection.cursor() as c:
        for t in ("django_shop_owner", "django_shop_item", "django_shop_item_tags", "django_shop_tag"):
            A("cols " + t, lambda: connection.introspection.get_table_description(c, t))
            A("rel " + t, lambda: sorted(connection.introspection.get_relations(c, t).items()))
            A("con " + t, lambda: sorted(connection.introspection.get_constraints(c, t).items()))
            A("seq " + t, lambda: connection.introspection.get_sequences(c, t))
            A("pk " + t, lambda: connection.introspection.get_primary_key_columns(c, t))
        A("tables", lambda: sorted(connection.introspection.get_table_list(c)))
    return told


def rolled_back():
    try:
        with transaction.atomic():
            Owner.objects.create(name="sp")
            raise ValueError
    except ValueError:
        pass
    return Owner.objects.filter(name="sp").count()
