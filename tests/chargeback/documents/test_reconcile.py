"""The PDFs of statements: made after the close, kept once, and given out as they were made."""

import hashlib
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.chargeback.closing.models import StatementDocument
from apps.chargeback.documents import actions, reconcile, storage
from apps.chargeback.documents.facts import facts_of
from apps.chargeback.documents.typeset import CannotSet, typeset
from apps.common.errors import NotPermitted
from apps.integrations.errors import PermanentError, TemporaryError
from apps.metering.backfill.actions import begin_backfill
from tests.chargeback.months import AFTER, END, START
from tests.chargeback.pricing import finance
from tests.database import as_owner
from tests.factories import UserFactory
from tests.pages import joined

pytestmark = pytest.mark.django_db
SOON = AFTER + timedelta(minutes=1)


class Away:
    """An archive that cannot be reached, or that refuses everything."""

    def __init__(self, error):
        self.error = error

    def put_new(self, key, body, *, locked_until):
        """Store nothing."""
        raise self.error

    def read(self, key, *, version_id=""):
        """Read nothing."""
        raise self.error


def documents():
    return list(StatementDocument.objects.select_related("statement").order_by("statement__number"))


def recorded(action):
    return list(AuditEvent.objects.filter(action=action).order_by("target_label"))


@pytest.fixture
def made(october, store):
    """The documents of October, in the archive."""
    assert reconcile.make_documents(archive=store, now=SOON) == 3
    return documents()


@pytest.fixture
def someone(client):
    """A person of finance at a browser."""
    client.force_login(finance("reads"))
    return client


def url_of(name, document):
    return reverse(f"chargeback:{name}", args=[document.statement.number])


class TestMaking:
    def test_is_asked_for_by_the_close(self, october):
        assert [(one.status, one.next_check_at, one.sha256) for one in documents()] == [
            ("WAITING", AFTER, "")
        ] * 3

    def test_keeps_each_locked_and_says_its_digest(self, made, store):
        for document in made:
            pdf = typeset(facts_of(document.statement))
            assert (document.status, document.sha256) == ("MADE", pdf.sha256)
            assert document.size_bytes == len(pdf.body)
            kept = store.head(document.object_key)
            assert kept.locked_until >= storage.kept_until(AFTER) - timedelta(seconds=1)
            assert storage.stored(store, document) == pdf.body
        events = recorded(Action.STATEMENT_MADE)
        assert [event.data["sha256"] for event in events] == [one.sha256 for one in made]
        assert {event.actor for event in events} == {"system:chargeback.make_documents"}
        assert reconcile.make_documents(archive=store, now=SOON) == 0

    def test_goes_on_where_a_worker_died(self, october, store):
        statement = october[0]
        storage.keep(store, statement, typeset(facts_of(statement)).body)
        assert reconcile.make_documents(archive=store, now=SOON) == 3
        assert {one.status for one in documents()} == {"MADE"}

    def test_ends_with_the_pass_and_leaves_the_rest(self, october, store):
        times = iter([0.0, 0.0, reconcile.PASS_SECONDS + 1])
        assert reconcile.make_documents(archive=store, now=SOON, clock=lambda: next(times)) == 1
        assert [one.status for one in documents()] == ["MADE", "WAITING", "WAITING"]

    def test_waits_for_an_archive_that_is_away(self, october):
        away = Away(TemporaryError("The archive cannot be reached."))
        reconcile.make_documents(archive=away, now=SOON)
        first = documents()[0]
        assert (first.status, first.reason) == ("WAITING", "WAITING")
        assert first.message == "The archive cannot be reached. Trying again by itself."
        assert first.next_check_at > SOON
        assert not recorded(Action.STATEMENT_FAILED)

    @pytest.mark.parametrize("what", ["the archive refuses", "a letter has no font", "no focus"])
    def test_fails_in_words_and_is_tried_again_by_a_person(
        self, october, store, what, monkeypatch, settings
    ):
        archive = store
        if what == "the archive refuses":
            archive = Away(PermanentError("The archive is full."))
        elif what == "no focus":
            settings.BILLING_ACCOUNT_ID = ""
        else:
            monkeypatch.setattr(reconcile, "typeset", _cannot)
        reconcile.make_documents(archive=archive, now=SOON)
        first = documents()[0]
        assert (first.status, first.next_check_at) == ("FAILED", None)
        assert first.message and recorded(Action.STATEMENT_FAILED)[0].data["message"]
        monkeypatch.undo()
        settings.BILLING_ACCOUNT_ID = "company"
        actions.try_again(document=first, actor=finance("tries"), now=SOON)
        assert recorded(Action.STATEMENT_RETRIED)[0].actor == "tries"
        reconcile.make_documents(archive=store, now=SOON)
        assert documents()[0].status == "MADE"
        with pytest.raises(actions.NotFailed, match="The PDF is made already."):
            actions.try_again(document=documents()[0], actor=finance("tries"), now=SOON)

    def test_is_tried_again_by_few(self, october):
        with pytest.raises(NotPermitted):
            actions.try_again(
                document=documents()[0], actor=UserFactory(with_roles=[Role.AUDITOR]), now=SOON
            )


def _cannot(facts):
    raise CannotSet("It cannot be set.")


class TestAMadeOne:
    def test_never_changes(self, made):
        for change in ({"sha256": "0" * 64}, {"status": "WAITING"}, {"object_key": "else"}):
            with pytest.raises(IntegrityError), transaction.atomic():
                StatementDocument.objects.filter(pk=made[0].pk).update(**change)
        with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
            made[0].delete()

    def test_is_given_out_to_those_who_see_the_statement(self, made, store, someone, monkeypatch):
        monkeypatch.setattr(f"{VIEWS}.archive_from_settings", lambda: store)
        answer = someone.get(url_of("statement_pdf", made[1]))
        assert answer["Content-Type"] == "application/pdf"
        assert answer["Content-Disposition"] == 'attachment; filename="statement-2026-10-002.pdf"'
        assert hashlib.sha256(answer.content).hexdigest() == made[1].sha256
        begin_backfill(name="s", since=START, until=END, is_sample=True, now=AFTER)
        answer = someone.get(url_of("statement_pdf", made[1]))
        assert "statement-2026-10-002-sample.pdf" in answer["Content-Disposition"]
        assert hashlib.sha256(answer.content).hexdigest() == made[1].sha256
        someone.force_login(UserFactory(with_roles=[Role.TEAM_LEAD]))
        for name in ("statement_pdf", "statement_document"):
            assert someone.get(url_of(name, made[1])).status_code == 404

    def test_that_is_another_by_now_is_not_given_out(self, made, store, someone, monkeypatch):
        monkeypatch.setattr(f"{VIEWS}.archive_from_settings", lambda: store)
        monkeypatch.setattr(store, "read", lambda key, version_id="": iter([b"%PDF-1.7 other"]))
        answer = someone.get(url_of("statement_pdf", made[1]))
        assert answer.status_code == 409
        assert "its digest differs. Nothing was sent." in joined(answer.content)

    @pytest.mark.parametrize(
        "error", [TemporaryError("The archive is away."), PermanentError("The archive refused it.")]
    )
    def test_that_cannot_be_read_is_told_in_words(self, made, someone, error, monkeypatch):
        monkeypatch.setattr(f"{VIEWS}.archive_from_settings", lambda: Away(error))
        answer = someone.get(url_of("statement_pdf", made[1]))
        assert answer.status_code == 409
        assert str(error) in joined(answer.content)


VIEWS = "apps.chargeback.documents.views"


class TestPage:
    def test_says_that_it_is_being_made_and_asks_again(self, october, someone):
        document = documents()[1]
        said = joined(someone.get(document.statement.get_absolute_url()).content)
        assert "Being made" in said and f'hx-get="{url_of("statement_document", document)}"' in said
        assert "Download the PDF" not in said

    def test_leads_to_the_file_and_stops_asking(self, made, someone):
        for url in (made[1].statement.get_absolute_url(), url_of("statement_document", made[1])):
            said = joined(someone.get(url).content)
            assert f'href="{url_of("statement_pdf", made[1])}"' in said
            assert (
                made[1].sha256 in said and "hx-trigger" not in said.partition('id="pdf"')[2][:300]
            )
        listed = joined(someone.get(made[1].statement.close.get_absolute_url()).content)
        assert listed.count("Made") >= 3

    def test_says_what_failed_and_takes_another_try(self, october, someone):
        document = documents()[1]
        actions.record_failed(document=document, reason="STORING", message="No space.", now=SOON)
        url = document.statement.get_absolute_url()
        assert "No space." in joined(someone.get(url).content)
        someone.force_login(UserFactory(with_roles=[Role.AUDITOR]))
        assert "Make it again" not in joined(someone.get(url).content)
        retry = url_of("statement_document_retry", document)
        assert someone.post(retry).status_code == 403
        someone.force_login(finance("reads"))
        assert "Make it again" in joined(someone.get(url).content)
        said = joined(someone.post(retry, follow=True).content)
        assert "The PDF is being made again." in said and "Being made" in said
