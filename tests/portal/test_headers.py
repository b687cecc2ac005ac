"""What the browser is told to allow, on every kind of answer."""

import os
import subprocess
import sys

import pytest
from django.urls import reverse

from tests.portal import cast
from tests.portal.test_matrix import DOORS, filled

pytestmark = pytest.mark.django_db
PAGES = [door for door in DOORS if door.method == "GET"]
PUBLIC = (
    "healthz",
    "alive",
    "accounts:signed_out",
    "oidc_authentication_init",
    "oidc_authentication_callback",
    "protected_resource",
)


@pytest.mark.parametrize("door", PAGES, ids=str)
def test_every_answer_is_strict(door, world):
    url = reverse(door.name, args=[filled(arg, world.ids) for arg in door.args])
    answer = world.client("platform").get(
        url, door.data, headers={"Authorization": "Bearer platform"}
    )
    cast.read_out(answer)
    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["X-Request-Id"]
    if door.name not in PUBLIC:
        assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("path", ["/nothing/", "/audit/", "/api/v1/nothing", "/%00/"])
def test_so_are_errors(client, charlie, path):
    client.force_login(charlie)
    answer = client.get(path)
    assert answer.status_code in (400, 401, 404)
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Request-Id"]


def test_over_https_cookies_and_transport_are_strict():
    names = [
        "SESSION_COOKIE_NAME",
        "SESSION_COOKIE_SECURE",
        "SESSION_COOKIE_HTTPONLY",
        "CSRF_COOKIE_SECURE",
        "SECURE_HSTS_SECONDS",
        "CSRF_COOKIE_NAME",
        "DEBUG",
    ]
    script = (
        "from portal import settings; print([getattr(settings, name) for name in "
        + repr(names)
        + "])"
    )
    env = os.environ | {"PORTAL_URL": "https://portal.example"}
    found = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    )
    expected = ["__Host-session", True, True, True, 31536000, "__Host-csrf", False]
    assert found.stdout.strip() == str(expected)
