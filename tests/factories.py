"""Rows for tests, with sensible values; a test names only what it is about."""

from datetime import UTC, datetime

import factory
from django.conf import settings
from factory.django import DjangoModelFactory

from apps.accounts.models import CostCenter, RoleBinding, Team, User
from apps.catalog.models import ModelFile, ModelVersion, RegisteredModel
from apps.common.periods import day_of
from apps.metering import days
from apps.metering.access_log import UsageRecord
from apps.metering.models import UsageEvent
from apps.metering.stores.base import store
from apps.metering.stores.columns import RECORD

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


class CostCenterFactory(DjangoModelFactory):
    class Meta:
        model = CostCenter

    code = factory.Sequence(lambda n: f"CC-{100_000 + n}")


class TeamFactory(DjangoModelFactory):
    class Meta:
        model = Team

    slug = factory.Sequence(lambda n: f"team-{n}")
    name = factory.LazyAttribute(lambda team: team.slug.replace("-", " ").title())
    cost_center = factory.SubFactory(CostCenterFactory)


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    issuer = "http://127.0.0.1:2"
    subject = factory.Sequence(lambda n: f"subject-{n}")
    username = factory.Sequence(lambda n: f"user{n}")
    name = factory.LazyAttribute(lambda user: user.username.title())
    team = factory.SubFactory(TeamFactory)
    created_at = NOW

    @factory.post_generation
    def with_roles(self, create, extracted, **kwargs):
        for role in extracted or ():
            RoleBinding.objects.create(user=self, role=role)


class RegisteredModelFactory(DjangoModelFactory):
    class Meta:
        model = RegisteredModel

    name = factory.Sequence(lambda n: f"model-{n}")
    title = "Prior authorization extraction"
    description = "Reads codes from packets."
    task = "Information extraction"
    family = "SmolLM2"
    parameter_count = 135_000_000
    context_length = 2048
    license = "Apache-2.0"
    data_class = "PHI"
    owner_team = factory.SubFactory(TeamFactory)
    created_at = NOW


class ModelVersionFactory(DjangoModelFactory):
    class Meta:
        model = ModelVersion
        skip_postgeneration_save = True

    registered_model = factory.SubFactory(RegisteredModelFactory)
    number = factory.Sequence(lambda n: n + 1)
    status = ModelVersion.Status.VERIFIED
    manifest_digest = factory.Sequence(lambda n: f"sha256:{n:064x}")
    signature_digest = factory.LazyAttribute(
        lambda made: made.manifest_digest and f"sha256:51{made.manifest_digest[-62:]}"
    )
    created_by = factory.SubFactory(UserFactory)
    created_at = NOW

    @factory.post_generation
    def documents(self, create, extracted, **kwargs):
        """Give a verified version the files it cannot be proposed without; () for none."""
        if create and self.status == ModelVersion.Status.VERIFIED:
            names = ("LICENSE", "README.md") if extracted is None else extracted
            ModelFile.objects.bulk_create(
                ModelFile(version=self, name=name, size=10, sha256="d" * 64) for name in names
            )


def stored_calls():
    """Return the calls that are stored and count, wherever that is."""
    return store().counted(datetime(1970, 1, 2, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))


def create_event(**values):
    """Store a call as it is, past every rule but the database's."""
    days.make_days({day_of(values["occurred_at"])})
    if not settings.USAGE_STORE_URL:
        return UsageEvent.objects.create(**values)
    event = UsageEvent(**values)
    record = UsageRecord(**{name: getattr(event, name) for name in RECORD})
    store().insert([record], via=event.received_via, now=event.received_at)
    return event
