"""By which names the portal answers: machines come to their doors by any, people by its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse

pytestmark = pytest.mark.django_db
# how a kubelet's probe, a Collector and KEDA name the portal
NAMES = (
    "10.0.12.7:8000",
    "[fd00::12]:8000",
    "quartermaster-web:8000",
    "quartermaster-web.quartermaster.svc.cluster.local",
)
NO_NAME = "web_1:8000"  # RFC 1034 knows no underscore, and neither does Django


@pytest.mark.parametrize("host", [*NAMES, NO_NAME])
class TestMachines:
    def test_a_probe_is_answered(self, client, host):
        answer = client.get("/healthz", headers={"host": host})
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})

    def test_a_collector_delivers_with_its_credential_and_not_without(self, client, host):
        token = Path(settings.USAGE_INGEST_TOKEN_FILE).read_text().strip()
        asked = {"data": b"{}", "content_type": "application/json"}
        held = {"host": host, "Authorization": f"Bearer {token}"}
        assert client.post("/v1/logs", **asked, headers=held).status_code == 200
        assert client.post("/v1/logs", **asked, headers={"host": host}).status_code == 401

    def test_keda_asks_for_demand_with_its_credential_and_not_without(self, client, host):
        token = Path(settings.SCALING_TOKEN_FILE).read_text().strip()
        path = reverse("scaling_demand", args=["models", "clinical-summary-v1"])
        held = {"host": host, "Authorization": f"Bearer {token}"}
        answer = client.get(path, headers=held)
        assert (answer.status_code, answer.json()) == (404, {"detail": "No such version."})
        assert client.get(path, headers={"host": host}).status_code == 401


@pytest.mark.parametrize("host", [*NAMES, NO_NAME, "evil.example"])
@pytest.mark.parametrize("path", ["/", "/catalog/", "/oidc/authenticate/", "/api/v1/schema"])
def test_pages_and_the_api_are_closed_to_other_names(client, alice, path, host):
    client.force_login(alice)
    answer = client.get(path, headers={"host": host})
    assert answer.status_code == 400
    assert host.encode() not in answer.content


def test_a_page_of_the_portals_own_name_is_open(client, alice):
    client.force_login(alice)
    assert client.get("/", headers={"host": "testserver"}).status_code == 200


def test_further_names_are_a_setting():
    assert hosts_of(PORTAL_HOSTS="portal.internal, .corp.example") == [
        "portal.example", "127.0.0.1", "localhost", ".corp.example", "portal.internal",
    ]  # fmt: skip
    assert hosts_of() == ["portal.example", "127.0.0.1", "localhost"]


def hosts_of(**given: str) -> list[str]:
    """Return the names that a portal of this environment answers to."""
    program = "from portal import settings; print(*settings.ALLOWED_HOSTS)"
    said = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PORTAL_URL": "https://portal.example"} | given,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.split()
