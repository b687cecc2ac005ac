"""Prompts, answers and secrets are planted as canaries; they stay out of logs, rows, pages, metrics
and tasks.
"""

import json
import logging

import httpx
import pytest
from django.apps import apps
from django.db import connection
from django.test import Client

from apps.accounts import sessions
from apps.audit.models import AuditEvent
from apps.integrations.engine.client import EngineClient
from apps.integrations.git.client import GitClient
from apps.integrations.git.process import redact
from apps.integrations.http import HttpClient
from apps.metering.actions import ingest_usage
from apps.metering.follow import read_lines
from portal.privileges import PRIVILEGES
from tests.factories import NOW
from tests.metering.test_ingest import batch, call

pytestmark = pytest.mark.django_db
PROMPT, TOKEN, PASSWORD = "canary-prompt-7f3a", "canary-token-91bc", "canary-pass@word-55"


@pytest.fixture
def logged(caplog):
    """Return everything that was logged, as it would be written, with tracebacks."""
    caplog.set_level(logging.DEBUG)
    formatter = logging.Formatter("%(name)s %(message)s %(args)s")
    return lambda: "\n".join(formatter.format(record) for record in caplog.records)


def rows() -> str:
    """Return every row of every table that the portal can write, but sessions (they hold encrypted
    tokens), as text.
    """
    found = []
    written = [label for label, may in PRIVILEGES.items() if may.insert or may.update]
    with connection.cursor() as cursor:
        for label in set(written) - {"sessions.Session"}:
            table = apps.get_model(label)._meta.db_table
            cursor.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t')  # noqa: S608
            found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


class TestPlayground:
    @pytest.mark.parametrize("answer", [
        httpx.Response(200, text='data: {"choices": [{"delta": {"content": '
        '"canary-prompt-7f3a"}}]}\n\ndata: [DONE]\n'),
        httpx.Response(400, json={"error": {"message": "bad", "code": "bad"}}),
        httpx.Response(500, text="canary-prompt-7f3a"),
        httpx.Response(200, text="data: {torn canary-prompt-7f3a\n"),
        httpx.ReadTimeout("canary-prompt-7f3a"),
    ])  # fmt: skip
    def test_keeps_prompt_answer_and_token_nowhere(self, world, monkeypatch, logged, answer):
        def reply(request):
            assert PROMPT in request.content.decode()
            assert request.headers["authorization"] == f"Bearer {TOKEN}"
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr("apps.gateway.views.gateway_token", lambda request: TOKEN)
        transport = httpx.MockTransport(reply)
        monkeypatch.setattr(
            "apps.gateway.views.EngineClient",
            lambda url, **more: EngineClient(url, transport=transport, **more),
        )
        client = world.client("lead")
        body = {"prompt": PROMPT, "max_tokens": 5, "temperature": 0}
        said = b"".join(client.post("/catalog/extract/playground/stream/", body)).decode()
        assert TOKEN not in said
        for place in (logged(), rows()):
            assert PROMPT not in place
            assert TOKEN not in place

    def test_a_refused_form_says_nothing_of_the_prompt(self, world, logged):
        client = world.client("lead")
        body = {"prompt": PROMPT, "max_tokens": "no", "temperature": 0}
        answer = client.post("/catalog/extract/playground/stream/", body)
        assert answer.status_code == 422
        assert PROMPT not in answer.content.decode() + logged() + rows()


class TestErrors:
    @pytest.fixture
    def broken(self, world, monkeypatch, settings):
        """An address that fails with an error that nobody foresaw."""

        def fail(*_, **__):
            raise RuntimeError("something inside")

        monkeypatch.setattr("apps.gateway.views.gateway_token", fail)
        return world.client("lead")

    def test_pages_say_the_id_and_nothing_of_the_inside(self, broken, logged, settings):
        answer = broken.post(
            "/catalog/extract/playground/stream/",
            {"prompt": PROMPT, "max_tokens": 5, "temperature": 0},
            headers={"Authorization": f"Bearer {TOKEN}"},
        )  # fmt: skip
        page = answer.content.decode()
        assert answer.status_code == 500
        assert answer["X-Request-Id"] in page
        for word in (
            PROMPT,
            TOKEN,
            "something inside",
            "Traceback",
            settings.SECRET_KEY,
            "apps/gateway",
        ):
            assert word not in page
        for word in (PROMPT, TOKEN, settings.SECRET_KEY, settings.OIDC_RP_CLIENT_SECRET):
            assert word not in logged()


class TestTokens:
    def test_that_are_refused_are_not_repeated(self, client, logged):
        answer = client.get("/api/v1/me", headers={"Authorization": f"Bearer {TOKEN}"})
        assert TOKEN not in answer.content.decode() + str(answer.headers) + logged() + rows()

    def test_of_sessions_are_encrypted_with_a_key_of_their_own(self, client, alice, settings):
        client.force_login(alice)
        session = client.session
        sessions.keep_tokens(session, {"access_token": TOKEN, "refresh_token": PASSWORD}, now=0)
        session.save()
        assert sessions.stored_tokens(session)["access_token"] == TOKEN
        assert TOKEN not in json.dumps(dict(session.items())) + rows()


class TestIngest:
    def test_of_bad_records_repeats_no_value(self, logged):
        odd = call(start_time=PROMPT) | {"gen_ai.usage.input_tokens": PROMPT, "prompt": PROMPT}
        headers = {"Authorization": "Bearer ingest-token-of-the-tests"}
        answer = Client().post(
            "/v1/logs", batch(odd), content_type="application/x-protobuf", headers=headers
        )
        lines = [b'{"x-request-id": "%s"' % PROMPT.encode(), json.dumps(odd).encode()]
        ingest_usage(entries=read_lines(lines), via="FILE", now=NOW)
        assert PROMPT not in answer.content.decode(errors="replace") + logged() + rows()
        assert "ingest-token" not in logged()


class TestOutside:
    @pytest.mark.parametrize("remote", [
        f"http://git:{PASSWORD}@127.0.0.1:1/gitops.git", f"https://{TOKEN}@127.0.0.1:1/x.git",
    ])  # fmt: skip
    def test_git_errors_name_no_credential(self, remote, tmp_path, logged):
        git = GitClient(remote=remote, branch="main", workdir=tmp_path, timeout=10)
        with pytest.raises(Exception) as error:  # noqa: PT011 - whichever of the two
            git.read("serving/x.yaml")
        said = (
            "".join(
                str(item) for item in (error.value, error.value.__cause__, error.value.__context__)
            )
            + logged()
        )
        assert "canary" not in said
        assert "word-55" not in said

    def test_addresses_lose_all_of_a_password(self):
        assert redact("fatal: https://u:a@b@host/x: 401") == "fatal: https://***@host/x: 401"

    def test_http_errors_carry_nothing_that_was_sent(self, logged):
        transport = httpx.MockTransport(lambda request: httpx.Response(403, json={"message": "no"}))
        client = HttpClient(
            name="It",
            base_url="http://x.test",
            headers={"Authorization": TOKEN},
            transport=transport,
        )
        with pytest.raises(Exception) as error:  # noqa: PT011
            client.request("POST", f"/a?secret={PASSWORD}", json={"prompt": PROMPT})
        assert "canary" not in str(error.value) + logged()


class TestTasks:
    def test_carry_ids_only(self):
        """What a task is sent is an id, integers and UUIDs by name, or is written in the code."""
        import ast
        from pathlib import Path

        sent = [
            keyword.arg
            for path in Path("apps").rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "enqueue_on_commit"
            for keyword in node.keywords
            if not isinstance(keyword.value, ast.Constant)
        ]
        assert sent
        assert {name for name in sent if not name.endswith("_id")} == set()


class TestAudit:
    def test_keeps_line_breaks_out_of_the_log(self, client, alice, logged):
        client.force_login(alice)
        client.get("/nothing%0aCRITICAL%20forged")
        assert "\nCRITICAL" not in logged()
        assert AuditEvent.objects.count() == 0
