"""Promotions that were made before there were policies were decided under what the settings say: the first revision."""

from typing import Any

from django.conf import settings
from django.db import migrations

from apps.common.canonical import digest_of
from apps.common.rulings import BEGINNING
from apps.promotions.policy.queries import first_rules


def write_down(apps: Any, schema_editor: object) -> None:
    """Give each data class that a promotion is about its first revision, and each promotion that one."""
    Promotion = apps.get_model("promotions", "Promotion")
    PolicyRevision = apps.get_model("promotions", "PolicyRevision")
    classes = Promotion.objects.values_list("registered_model__data_class", flat=True)
    for data_class in sorted(set(classes.order_by())):
        body = first_rules().as_json()
        made, _ = PolicyRevision.objects.get_or_create(
            environment=settings.ENVIRONMENT_NAME,
            data_class=data_class,
            number=1,
            defaults={"body": body, "digest": digest_of(body), "active_from": BEGINNING},
        )
        promotions = Promotion.objects.filter(registered_model__data_class=data_class)
        promotions.update(policy_revision=made)


class Migration(migrations.Migration):
    dependencies = [("promotions", "0019_policy")]
    operations = [migrations.RunPython(write_down, migrations.RunPython.noop)]
