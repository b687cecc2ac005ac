"""The name of the rule that the database says was broken."""

import pytest
from django.db import IntegrityError, transaction

from apps.common.constraints import broken_rule
from tests.factories import UserFactory


@pytest.mark.django_db
def test_is_the_constraint_that_the_database_names():
    alice = UserFactory()
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        UserFactory(subject=alice.subject)
    assert broken_rule(refused.value) == "user_one_per_identity"


def test_is_empty_where_nothing_is_named():
    assert broken_rule(IntegrityError("by hand")) == ""
