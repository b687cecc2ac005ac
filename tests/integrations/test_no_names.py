"""A minute without DNS: every client says that the other side is away, soon, and nothing worse."""

import socket
import time
from types import SimpleNamespace

import pytest
from celery import Celery
from django.db import transaction

from apps.common.tasks import enqueue_on_commit
from apps.integrations.aws.client import AwsPrices
from apps.integrations.engine.client import EngineClient
from apps.integrations.envoy_admin.client import EnvoyAdmin
from apps.integrations.errors import TemporaryError
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.client import KubernetesReader
from apps.integrations.kubernetes.config import Target, configuration
from apps.integrations.kubernetes.connection import Connection
from apps.integrations.kubernetes.types import Kind
from apps.integrations.mail.client import MailClient
from apps.integrations.oidc.client import OidcClient
from apps.integrations.prometheus.client import PrometheusClient
from apps.integrations.s3.client import RegistryStore
from apps.integrations.servicenow.client import ServiceNowClient
from apps.integrations.vault.client import Vault
from apps.integrations.webhooks.addresses import Allowed, address_of, checked

NOWHERE = "nowhere.invalid"
URL = f"https://{NOWHERE}"
LONGEST = 20.0  # seconds, on a busy machine; the tries of all clients end sooner


@pytest.fixture(autouse=True)
def no_names(monkeypatch):
    """Have no name of a host resolved."""
    tried = []

    def away(host, *_, **__):
        tried.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", away)
    return tried


def mail():
    client = MailClient(sender="q@example.com", is_configured=True)
    client.send(to="a@example.com", subject="s", text="t", headers={})


def webhook():
    allowed = Allowed(hosts={NOWHERE})
    address_of(checked(f"{URL}/hook", allowed), allowed, resolve=socket.getaddrinfo)


def provider():
    OidcClient(issuer=URL, client_id="c", client_secret="s", timeout=4).published()


def vault():
    tokens = SimpleNamespace(token=lambda client: "t", forget=lambda: False)
    Vault(URL, tokens).call("a key", lambda client: client.secrets.transit.read_key("k"))


CALLS = {
    "S3": lambda: RegistryStore(bucket="models").head("m/v1/a"),
    "prices": lambda: AwsPrices().list_price("g6.xlarge", "us-east-1"),
    "cluster": lambda: KubernetesReader(lambda: Connection(Target(configuration(URL)))).list(
        Kind.POD
    ),
    "Prometheus": lambda: PrometheusClient(URL, token="t").query("up"),
    "engine": lambda: EngineClient(URL).version(),
    "Envoy": lambda: EnvoyAdmin(URL).routes(),
    "ServiceNow": lambda: ServiceNowClient(URL, client_id="c", client_secret="s").change("1" * 32),
    "mail": mail,
    "provider": provider,
    "vault": vault,
    "webhook": webhook,
}


@pytest.mark.parametrize("name", CALLS)
def test_is_the_same_as_being_away(name, no_names, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = NOWHERE
    started = time.monotonic()
    with pytest.raises(TemporaryError):
        CALLS[name]()
    assert time.monotonic() - started < LONGEST
    assert no_names  # it did ask for the name, and a few times at most
    assert len(no_names) <= 12


def test_is_the_same_for_git(tmp_path):
    client = GitClient(remote=f"git://{NOWHERE}/x.git", branch="main", workdir=tmp_path)
    with pytest.raises(TemporaryError):
        client.read("a")


@pytest.mark.django_db
def test_fails_no_write_for_want_of_a_broker(
    django_capture_on_commit_callbacks, monkeypatch, no_names, caplog
):
    app = Celery("nowhere", broker=f"redis://{NOWHERE}:6379/0", set_as_current=False)
    app.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0}
    monkeypatch.setattr("apps.common.tasks.current_app", app)
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        enqueue_on_commit("gateway.publish_policy", model_id=7)
    assert "The broker is away" in caplog.text
    assert NOWHERE in no_names
