"""What is told of the audit record: that it does not hold."""

import pytest

from apps.accounts.models import Role
from apps.audit.models import Verification
from apps.notices.models import Notice
from apps.oversight.record.telling import tell
from tests.factories import NOW, UserFactory

pytestmark = pytest.mark.django_db


def test_is_for_those_who_oversee_it_and_only_where_something_was_found(carol):
    for name, role in (("audrey", Role.AUDITOR), ("pete", Role.PLATFORM_ENGINEER)):
        UserFactory(username=name, with_roles=[role])
    read = {"verified_at": NOW, "size": 10, "anchored_size": 10}
    Verification.objects.create(**read, found=0)
    assert tell(now=NOW) == 0
    Verification.objects.create(**read, found=2, findings=[{"kind": "REWRITTEN", "sequence": 3}])
    assert [tell(now=NOW), tell(now=NOW)] == [2, 0]
    told = Notice.objects.order_by("user__username")
    title = "The audit record does not hold: 2 findings"
    assert [(one.user.username, one.title, one.is_urgent) for one in told] == [
        ("audrey", title, True), ("pete", title, True)
    ]  # fmt: skip
