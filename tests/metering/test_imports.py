"""Calls from files: in the browser and by the command, through one door."""

import hashlib
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.common import uploads
from apps.common.errors import NotPermitted
from apps.metering import imports
from apps.metering.models import UsageEvent, UsageImport
from apps.metering.quarantine.models import QuarantinedRecord
from tests.factories import NOW, UserFactory
from tests.metering.test_ingest import call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names")]
URL = "/usage/import/"


def lines(*calls):
    return [json.dumps(each).encode() + b"\n" for each in calls]


def file_of(*calls, name="access.jsonl"):
    return SimpleUploadedFile(name, b"".join(lines(*calls)))


def person(*roles):
    return UserFactory(with_roles=roles)


def text_of(answer):
    return " ".join(answer.content.decode().split())


class TestImportUsage:
    def test_tells_what_was_taken_stored_before_apart_and_no_usage(self, monkeypatch):
        monkeypatch.setattr(imports, "BATCH", 2)
        first, other = call(), call()
        listed = {"response_code": 200, "path": "/v1/models"}
        given = lines(first, other, first, call(team="nobody"), listed) + [b"half\n", b"\n"]
        made = imports.import_usage(name="a.jsonl", file=iter(given), now=NOW)
        assert (made.lines, made.taken, made.doubles, made.others) == (7, 2, 1, 2)
        assert made.quarantined == {"TEAM": 1, "UNREADABLE": 1}
        assert made.words == (
            "7 lines: 2 calls taken, 1 stored before, 2 no usage, 2 in quarantine "
            "(Unknown team: 1, Cannot be read: 1)."
        )
        assert (made.size_bytes, made.sha256) == (
            len(b"".join(given)),
            hashlib.sha256(b"".join(given)).hexdigest(),
        )
        assert set(UsageEvent.objects.values_list("received_via", flat=True)) == {"FILE"}
        assert QuarantinedRecord.objects.count() == 2

    def test_is_in_the_record_without_a_word_of_a_line(self):
        made = imports.import_usage(name="a.jsonl", file=[b"my knee\n"], now=NOW)
        event = AuditEvent.objects.get(action=Action.USAGE_IMPORTED)
        assert (event.target_id, event.actor) == (str(made.pk), "system:metering.import_usage")
        assert event.data == {
            "sha256": made.sha256, "lines": 1, "taken": 0, "doubles": 0, "quarantined": 1,
        }  # fmt: skip

    def test_counts_once_whatever_comes_again(self):
        given = lines(call(), call())
        imports.import_usage(name="a", file=given, now=NOW)
        again = imports.import_usage(name="b", file=[*given, *lines(call())], now=NOW)
        assert (again.taken, again.doubles, UsageEvent.objects.count()) == (1, 2, 3)

    @pytest.mark.parametrize("role", [Role.AUDITOR, Role.TEAM_LEAD, Role.MODEL_OWNER])
    def test_from_the_browser_is_for_those_who_mend_usage(self, role):
        with pytest.raises(NotPermitted):
            imports.upload_usage(name="a", file=lines(call()), actor=person(role), now=NOW)
        assert not UsageEvent.objects.exists() and not AuditEvent.objects.exists()


class TestPage:
    @pytest.mark.parametrize("role", [Role.FINANCE, Role.PLATFORM_ENGINEER])
    def test_counts_a_file_and_tells_what_came_of_it(self, client, role):
        who = person(role)
        client.force_login(who)
        sent = {"file": file_of(call(), call(team="nobody"))}
        page = text_of(client.post(URL, sent, follow=True))
        words = "2 lines: 1 call taken, 1 in quarantine (Unknown team: 1)."
        assert f"access.jsonl: {words}" in page
        assert f"<p> {words} <a" in page
        assert UsageImport.objects.get().imported_by == who
        assert AuditEvent.objects.get(action=Action.USAGE_IMPORTED).actor == who.username

    def test_is_led_to_from_the_list_of_usage(self, client):
        client.force_login(person(Role.FINANCE))
        assert reverse("metering:usage_import") in text_of(client.get("/usage/"))

    @pytest.mark.parametrize(
        ("sent", "words"),
        [({}, "Choose a file."), ({"file": SimpleUploadedFile("a", b"")}, "The file is empty.")],
    )
    def test_says_what_is_wrong_with_a_file(self, client, sent, words):
        client.force_login(person(Role.FINANCE))
        answer = client.post(URL, sent)
        assert answer.status_code == 422
        assert words in text_of(answer)
        assert not UsageImport.objects.exists()

    def test_takes_no_file_that_is_too_large(self, client, monkeypatch):
        monkeypatch.setattr(uploads, "MAX_BYTES", 100)
        client.force_login(person(Role.FINANCE))
        answer = client.post(URL, {"file": file_of(call())})
        assert answer.status_code == 422
        assert answer.context["form"].errors == {"file": [uploads.TOO_LARGE]}
        assert not UsageEvent.objects.exists()

    def test_needs_the_pages_own_token(self, db):
        from django.test import Client

        client = Client(enforce_csrf_checks=True)
        client.force_login(person(Role.FINANCE))
        assert client.post(URL, {"file": file_of(call())}).status_code == 403
        assert not UsageEvent.objects.exists()

    def test_shows_an_auditor_what_came_and_takes_no_file(self, client):
        imports.import_usage(name="old.jsonl", file=lines(call()), now=NOW)
        client.force_login(person(Role.AUDITOR))
        page = text_of(client.get(URL))
        assert "old.jsonl" in page and "the command" in page
        assert 'type="file"' not in page
        assert client.post(URL, {"file": file_of(call())}).status_code == 403
