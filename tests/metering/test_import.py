"""Counting calls from files, by command."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.metering.models import UsageEvent
from apps.metering.quarantine.models import QuarantinedRecord
from tests.metering.test_ingest import call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names")]


def import_usage(*files):
    said = StringIO()
    call_command("import_usage", *files, stdout=said)
    return said.getvalue().splitlines()


def test_stores_each_call_once_and_tells_what_came_of_each_file(tmp_path, monkeypatch):
    monkeypatch.setattr("apps.metering.imports.BATCH", 2)
    calls = [call() for _ in range(5)]
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_text("".join(json.dumps(each) + "\n" for each in calls))
    other.write_text(json.dumps(calls[0]) + "\nhalf\n" + json.dumps(call(team="nobody")))
    assert import_usage(one, other) == [
        f"{one}: 5 lines: 5 calls taken.",
        f"{other}: 3 lines: 0 calls taken, 1 stored before, 2 in quarantine "
        "(Cannot be read: 1, Unknown team: 1).",
    ]
    assert import_usage(one) == [f"{one}: 5 lines: 0 calls taken, 5 stored before."]
    assert (UsageEvent.objects.count(), QuarantinedRecord.objects.count()) == (5, 2)


def test_says_which_file_cannot_be_read(tmp_path):
    with pytest.raises(CommandError, match=r"missing.jsonl cannot be read: No such file"):
        import_usage(tmp_path / "missing.jsonl")
