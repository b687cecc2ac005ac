"""Lost prompts are told once, to those who oversee, when their hour is over."""

from datetime import timedelta

import pytest

from apps.common.periods import hour_of
from apps.notices.models import Notice
from apps.prompts.models import LostPrompts
from apps.prompts.telling import tell
from tests.factories import NOW

pytestmark = pytest.mark.django_db


def test_of_lost_prompts_is_told_once_their_number_stands(ada, carol, charlie):
    hour = hour_of(NOW)
    for at, count in ((hour, 7), (hour - timedelta(hours=2), 3), (hour - timedelta(days=9), 5)):
        LostPrompts.objects.create(hour=at, data_class="PHI", because="QUEUE_FULL", count=count)
    tell(now=NOW)
    tell(now=NOW)
    told = Notice.objects.filter(kind="PROMPT")
    assert {notice.user for notice in told} == {ada, carol}
    assert {notice.title[:7] for notice in told} == {"3 texts"}
    assert all(notice.is_urgent for notice in told)
