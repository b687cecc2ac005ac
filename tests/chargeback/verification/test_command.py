"""`make verify-month`: what it says, and how it ends."""

import pytest
from django.core.management import CommandError, call_command

from apps.chargeback.models import MonthlyLine
from tests.chargeback import months
from tests.chargeback.verification.test_verify import changed_by_its_owner

pytestmark = pytest.mark.usefixtures("committed")


def test_says_what_it_compared_and_ends_with_an_error_where_something_differs(capsys):
    months.october(months.really_call)
    close = months.closed()
    before = MonthlyLine.objects.count()
    call_command("verify_month", "2026-10")
    said = capsys.readouterr().out
    assert "October 2026 was compared:" in said and close.digest in said
    assert "It is as it was closed." in said
    assert MonthlyLine.objects.count() == before
    changed_by_its_owner("a priced day")
    with pytest.raises(CommandError, match="It is not as it was closed: 1 finding"):
        call_command("verify_month", "2026-10")
    assert "team prior-auth" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("month", "words"),
    [
        ("2026-11", "November 2026 is not closed."),
        ("october", "A month is written as 2026-11."),
    ],
)
def test_refuses_what_is_no_closed_month(month, words):
    with pytest.raises(CommandError, match=words):
        call_command("verify_month", month)
