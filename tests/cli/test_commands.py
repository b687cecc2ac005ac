"""The commands that ask, order and wait, against the portal: what they say, and how they end."""

import httpx
import pytest

from apps.catalog.models import ModelFile, ModelVersion
from apps.cli import exits, waits, watching
from apps.cli.portal import Portal, address
from apps.common import model_manifest
from apps.common.model_manifest import FileEntry
from apps.evals.models import EvalRun
from apps.promotions.models import Promotion
from tests.catalog.samples import declared, folder
from tests.factories import ModelVersionFactory, RegisteredModelFactory
from tests.promotions import factories as promoted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("people")]


@pytest.fixture
def model(alice):
    return RegisteredModelFactory(name="extract", owner_team=alice.team, created_by=alice)


def verified(model, number, digest=""):
    """Return a verified version with files, signed as they are, or by another digest."""
    entries = declared(folder())
    made = ModelVersionFactory(
        registered_model=model,
        number=number,
        manifest_digest=digest or model_manifest.digest(entries),
        documents=(),
    )
    ModelFile.objects.bulk_create(ModelFile(version=made, **vars(one)) for one in entries)
    return made


@pytest.fixture
def version(model):
    """A verified version with files; and another model's."""
    promoted.suite()
    ModelVersionFactory(number=3)
    return verified(model, 3)


class TestWhoami:
    def test_says_who_the_portal_takes_you_for(self, cli):
        code, answer, _ = cli("whoami")
        assert (code, answer.startswith("Alice (alice) in ")) == (0, True)
        assert answer.strip().endswith("model owner.")
        assert cli("whoami", "--json")[1]["username"] == "alice"


class TestVerify:
    def test_takes_a_verified_version(self, cli, version):
        code, answer, _ = cli("verify", "extract-v3")
        assert code == 0
        assert answer.startswith("extract-v3 is whole: 3 files, ")
        assert version.manifest_digest in answer

    def test_reads_a_copy_beside_it(self, cli, version, tmp_path):
        for name, body in folder().items():
            (tmp_path / name).write_bytes(body)
        assert cli("verify", "extract-v3", "--folder", tmp_path)[0] == 0
        (tmp_path / "LICENSE").write_bytes(b"Apache License 2.1")
        code, answer, said = cli("verify", "extract-v3", "--folder", tmp_path, "--json")
        assert (code, answer["verified"]) == (8, False)
        assert "LICENSE: expected sha256" in said

    def test_says_that_it_was_quarantined(self, cli, version):
        ModelVersion.objects.filter(pk=version.pk).update(
            status="QUARANTINED", reason="DIGEST_MISMATCH", message="config.json: other bytes."
        )
        code, _, said = cli("verify", "extract-v3")
        assert (code, "is quarantined. config.json: other bytes." in said) == (8, True)

    def test_does_not_call_untrue_what_was_not_verified(self, cli, version):
        opened = ModelVersionFactory(
            registered_model=version.registered_model, number=4, status="UPLOADING"
        )
        for status in ("UPLOADING", "SIGNING", "VERIFYING", "FAILED"):
            ModelVersion.objects.filter(pk=opened.pk).update(status=status)
            code, _, said = cli("verify", "extract-v4")
            assert (code, "it has not been verified" in said) == (6, True)

    def test_sees_a_list_that_was_not_signed(self, cli, version):
        verified(version.registered_model, 5, digest="sha256:" + "0" * 64)
        code, _, said = cli("verify", "extract-v5")
        assert (code, "but lists files of" in said) == (8, True)


class TestEvaluateAndPropose:
    def test_start_a_run(self, cli, version):
        code, answer, _ = cli("evaluate", "extract-v3", "--no-wait", "--json")
        assert (code, answer["status"]) == (0, "PENDING")
        assert EvalRun.objects.get().model_version == version
        code, _, said = cli("evaluate", "extract-v3", "--no-wait", "--json")
        assert (code, '"already_running"' in said) == (6, True)

    def test_refuse_what_may_not_be_proposed(self, cli, version):
        code, _, said = cli("propose", "extract-v3", "-j", "Better codes than before.")
        assert (code, "quartermaster: " in said) == (6, True)
        assert not Promotion.objects.exists()

    def test_say_which_fields_are_wrong(self, cli, version):
        code, _, said = cli("propose", "extract-v3", "-j", "short")
        assert (code, "justification: " in said) == (6, True)

    def test_are_for_owners(self, cli, version, monkeypatch):
        monkeypatch.setenv("QUARTERMASTER_TOKEN", "charlie")
        assert cli("evaluate", "extract-v3", "--no-wait")[0] == 4


class TestWatch:
    def follow(self, portal, what, states):
        """Follow something that is in each of these states at one look after the other."""
        documents = iter(states)

        class Seen:
            def read(self, path):
                return next(documents)

        return watching._follow(Seen(), what, [None] * len(states), quiet=False)

    def test_says_each_change_once_and_how_it_ended(self, capsys):
        what = watching.promotion("1")
        states = [
            {"stage": "IN_REVIEW", "next_approval": "another reviewer"},
            {"stage": "IN_REVIEW", "next_approval": "another reviewer"},
            {"stage": "APPROVED", "waits_for": [{"words": "A freeze window holds it."}]},
            {"stage": "LIVE"},
        ]
        assert self.follow(None, what, states)["stage"] == "LIVE"
        assert capsys.readouterr().err.splitlines() == [
            "The promotion is in review. It needs the approval of another reviewer.",
            "The promotion is approved. A freeze window holds it.",
        ]

    @pytest.mark.parametrize(
        ("what", "state", "error"),
        [
            (watching.promotion("1"), {"stage": "REJECTED"}, exits.Negative),
            (watching.promotion("1"), {"stage": "ROLLED_BACK"}, exits.Negative),
            (watching.evaluation("1"), {"status": "FAILED", "message": ""}, exits.Negative),
            (watching.evaluation("1"), {"status": "ERROR", "message": "No GPU."}, exits.Negative),
            (watching.rollout("1"), {"status": "ABORTED", "message": ""}, exits.Negative),
            (watching.version(watching.VersionName("m", 1)), {"status": "QUARANTINED"},
             exits.Untrue),
            (watching.version(watching.VersionName("m", 1)), {"status": "FAILED"},
             exits.Negative),
            (watching.evaluation("1"), {"status": "RUNNING"}, exits.TimedOut),
        ],
    )  # fmt: skip
    def test_ends_as_it_ended(self, what, state, error):
        with pytest.raises(error):
            self.follow(None, what, [state])

    def test_finds_what_an_id_means(self, cli, version, alice):
        run = promoted.run(version)
        code, answer, _ = cli("watch", run.pk, "--json")
        assert (code, answer["id"]) == (0, str(run.pk))
        assert cli("watch", "extract-v3")[:2] == (0, "extract-v3 is verified.\n")
        proposed = promoted.proposed(version.registered_model, 4, alice)
        code, _, said = cli("watch", proposed.pk, "--timeout", "0")
        assert (code, "has not ended in time" in said) == (10, True)
        assert cli("watch", "5f0a1f0e-5d0f-4e0a-8f5b-0a4c1d2e3f40")[0] == 5
        assert cli("watch", "extract-v99")[0] == 5
        assert cli("watch", "../me")[0] == 5


class TestUsage:
    def test_shows_a_month(self, cli):
        code, answer, _ = cli("usage", "--month", "2026-11")
        assert (code, "No usage in 2026-11" in answer) == (0, True)
        assert cli("usage", "--month", "2026-11", "--json")[1]["lines"] == []
        assert cli("usage", "--month", "nonsense")[0] == 5
        assert cli("usage", "--month", "../me")[0] == 5


class TestWithoutSignIn:
    def test_says_where_to_sign_in(self, cli, monkeypatch):
        monkeypatch.delenv("QUARTERMASTER_TOKEN")
        code, _, said = cli("whoami", "--json")
        assert (code, "quartermaster login" in said) == (3, True)

    def test_wants_to_know_which_portal(self, cli, monkeypatch):
        monkeypatch.delenv("QUARTERMASTER_URL")
        assert cli("whoami")[0] == 2

    def test_forgets(self, cli):
        assert cli("logout", "--json")[1]["was_signed_in"] is False

    def test_knows_its_usage(self, cli):
        assert cli("bogus")[0] == 2
        code, answer, _ = cli("--help")
        assert (code, "Exit codes:" in answer) == (0, True)
        for word in (
            "login",
            "publish",
            "verify",
            "evaluate",
            "propose",
            "watch",
            "usage",
            "whoami",
        ):
            assert f"  {word} " in answer
            assert "--json" in cli(word, "--help")[1]


class TestPortal:
    """How the API is asked, and what its refusals mean."""

    class Tokens:
        token, fresh = "old", "new"

        def current(self):
            return self.token

        def renew(self):
            was, self.token = self.token, self.fresh
            return was != self.fresh

    def portal(self, answer, slept=None):
        sleep = (slept if slept is not None else []).append
        return Portal(
            "https://portal.example", self.Tokens(), transport=httpx.MockTransport(answer),
            sleep=sleep,
        )  # fmt: skip

    def test_renews_a_token_that_was_refused_once(self):
        seen = []

        def answer(request):
            seen.append(request.headers["Authorization"])
            good = seen[-1] == "Bearer new"
            problem = {"code": "expired", "detail": "The token has expired.", "status": 401}
            kind = {"Content-Type": "application/problem+json"}
            return (
                httpx.Response(200, json=[])
                if good
                else httpx.Response(401, json=problem, headers=kind)
            )

        assert self.portal(answer).read("me") == []
        assert seen == ["Bearer old", "Bearer new"]

    def test_waits_as_long_as_it_is_told_and_tries_again(self):
        slept, left = [], [503, 503, 200]

        def answer(request):
            status = left.pop(0)
            return httpx.Response(status, json={"status": status}, headers={"Retry-After": "7"})

        assert self.portal(answer, slept).read("me") == {"status": 200}
        assert slept == [7.0, 7.0]

    def test_does_not_repeat_what_is_not_the_same_twice(self):
        calls = []

        def answer(request):
            calls.append(request)
            raise httpx.ReadTimeout("slow", request=request)

        with pytest.raises(exits.Away, match="look before you send it again"):
            self.portal(answer).send("promotions", {}, repeatable=False)
        assert len(calls) == 1
        with pytest.raises(exits.Away, match="does not answer"):
            self.portal(answer).send("me", {}, repeatable=True)
        assert len(calls) == 7

    @pytest.mark.parametrize("status", [200, 404, 500])
    def test_takes_no_page_for_an_answer(self, status):
        def answer(request):
            return httpx.Response(status, text="<html>Sign in</html>")

        with pytest.raises(exits.Away, match="no answer of the portal's API"):
            self.portal(answer).read("me")

    def test_sends_tokens_to_this_machine_or_encrypted(self):
        assert address("portal.example") == "https://portal.example"
        assert address("http://127.0.0.1:8000/x") == "http://127.0.0.1:8000"
        unfit = ("https://x:y", "https://[::1", "https://me:secret@portal.example")
        for text in ("http://portal.example", "ftp://x", "", *unfit):
            with pytest.raises(exits.BadUse):
                address(text)

    def test_waits_longer_each_time_but_not_for_ever(self):
        slept = []
        for attempt in range(12):
            waits.pause(attempt, None, sleep=slept.append)
        assert slept[0] <= 0.5
        assert max(slept) <= waits.LONGEST_WAIT
        assert slept[11] >= waits.LONGEST_WAIT / 2


def test_a_list_is_read_page_by_page():
    pages = {
        "": {"results": [1, 2], "next": "http://elsewhere/api/v1/x?cursor=b"},
        "b": {"results": [3], "next": None},
    }

    def answer(request):
        assert request.url.host == "portal.example"
        return httpx.Response(200, json=pages[request.url.params.get("cursor", "")])

    portal = TestPortal().portal(answer)
    assert list(portal.listed("x")) == [1, 2, 3]


def test_entries_are_plain(version):
    """The API's files make the digest that was signed."""
    listed = [FileEntry(one.name, one.size, one.sha256) for one in version.files.all()]
    assert model_manifest.digest(listed) == version.manifest_digest
