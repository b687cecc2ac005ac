"""What is told of versions and evaluations that failed."""

from datetime import timedelta

import pytest

from apps.accounts.models import Role
from apps.evals.telling import tell
from apps.notices.models import Notice
from tests.database import unguarded
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories as promoted

pytestmark = pytest.mark.django_db


def test_is_for_owners_and_where_it_is_a_fault_for_platform_engineers(
    registered_model, alice, carol
):
    UserFactory(username="pete", with_roles=[Role.PLATFORM_ENGINEER])
    number = iter(range(1, 9))

    def version(model=registered_model, **more):
        return promoted.version(model, next(number), **more)

    below, broken, passed = (promoted.run(version(), passed=False) for _ in range(3))
    theirs = version(RegisteredModelFactory(name="other"))
    quarantined = version(observed_at=NOW)
    version(status="FAILED", observed_at=NOW - timedelta(days=4))
    with unguarded():
        type(broken).objects.filter(pk=broken.pk).update(status="ERROR")
        type(passed).objects.filter(pk=passed.pk).update(status="PASSED")
        for one in (theirs, quarantined):
            type(one).objects.filter(pk=one.pk).update(status="QUARANTINED", observed_at=NOW)
    tell(now=NOW)
    told = Notice.objects.order_by("title", "user__username")
    model = registered_model.name
    assert [(one.title, one.user.username, one.is_urgent) for one in told] == [
        (f"Evaluation of {model}-v1 did not pass", "alice", False),
        (f"Evaluation of {model}-v2 could not be carried out", "alice", False),
        (f"Evaluation of {model}-v2 could not be carried out", "pete", False),
        ("other-v4 is quarantined", "pete", True),
        (f"{model}-v5 is quarantined", "alice", True),
        (f"{model}-v5 is quarantined", "pete", True),
    ]
    assert below.model_version.name == f"{model}-v1"
    assert tell(now=NOW) == 0
