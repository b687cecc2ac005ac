"""What the API answers beside its addresses: problem documents, with the id to quote."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
UNKNOWN = ("/api/v1/nothing", "/api/v1/models/", "/api/v1/", "/api/v1", "/api/v2/models", "/api/")
BEARER = {"Authorization": "Bearer platform"}


def is_problem(answer, status, code):
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert answer["Content-Type"] == "application/problem+json"
    assert problem["request_id"] == answer["X-Request-Id"] != ""
    return True


class TestUnknownAddress:
    @pytest.mark.parametrize("path", UNKNOWN)
    def test_is_a_problem_with_every_method(self, world, path):
        for method in METHODS:
            answer = Client().generic(method, path, headers=BEARER)
            assert answer.status_code == 404
            assert answer["Content-Type"] == "application/problem+json"
            if method != "HEAD":
                assert is_problem(answer, 404, "not_found")

    @pytest.mark.parametrize("path", UNKNOWN)
    def test_tells_strangers_no_more_than_any_other_address(self, world, path):
        known = Client().get("/api/v1/models")
        for method in METHODS:
            answer = Client().generic(method, path)
            assert answer.status_code == 401
            assert answer["WWW-Authenticate"] == known["WWW-Authenticate"]
        assert is_problem(Client().get(path), 401, known.json()["code"])

    def test_leaves_the_pages_theirs(self, world):
        answer = world.client("platform").get("/apiary/")
        assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")


class TestErrorsBeforeAView:
    def test_are_problems_too(self, world):
        assert is_problem(Client().get("/api/v1/models?cursor=%00"), 400, "bad_request")

    def test_an_error_of_ours_is_one(self, world, monkeypatch):
        def broken(*_, **__):
            raise RuntimeError("secret")

        monkeypatch.setattr("apps.accounts.oidc.identify", broken)
        answer = Client(raise_request_exception=False).get("/api/v1/me", headers=BEARER)
        assert is_problem(answer, 500, "internal")
        assert "secret" not in answer.content.decode()

    def test_a_packed_body_is_refused(self, world):
        answer = Client().post(
            "/api/v1/models", b"\x1f\x8b", content_type="application/json",
            headers=BEARER | {"Content-Encoding": "gzip"},
        )  # fmt: skip
        assert is_problem(answer, 415, "unsupported_encoding")

    def test_a_body_without_a_length_is_refused(self, world):
        for extra in (
            {"HTTP_TRANSFER_ENCODING": "chunked"},
            {"SERVER_PROTOCOL": "HTTP/2", "CONTENT_LENGTH": ""},
        ):
            answer = Client().post(
                "/api/v1/models", b"{}", content_type="application/json", headers=BEARER, **extra
            )
            assert is_problem(answer, 411, "length_required")
