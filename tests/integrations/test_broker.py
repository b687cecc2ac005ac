"""The broker over TLS, with a user of its own: a real Valkey behind a certificate that the tests
make.
"""

import asyncio
import re
import subprocess
import time
from contextlib import ExitStack

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import start_worker
from django.conf import settings as product
from kombu.exceptions import OperationalError

from deploy.local.cluster.pki import Authority
from deploy.local.stack import probes, valkey
from deploy.local.stack.ports import free_port
from portal.stores import env_broker
from tests.tls_front import Front, fronted


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The port of a Valkey whose default user may do nothing."""
    port = free_port()
    words = [str(valkey.program()), "--port", str(port), "--save", "", "--dir"]
    running = subprocess.Popen(
        [*words, str(tmp_path_factory.mktemp("valkey"))], stdout=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                probes.valkey(port)
                break
            except Exception:
                time.sleep(0.05)
        admin = redis.Redis(port=port)
        admin.execute_command("ACL SETUSER keeper on >keeps ~* &* +@all")
        admin.execute_command("ACL SETUSER default off")
        admin.close()
        yield port
    finally:
        running.terminate()
        running.wait(10)


@pytest.fixture
def keeper(server):
    """Who may change users."""
    with redis.Redis(port=server, username="keeper", password="keeps") as found:  # noqa: S106
        yield found


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def application(server, authority, tmp_path, monkeypatch, settings):
    """Return a Celery application whose broker shows a certificate for `name`, with a password in a
    file.
    """

    async def real():
        return await asyncio.open_connection("127.0.0.1", server)

    monkeypatch.setenv("REDIS_PASSWORD_FILE", str(tmp_path / "password"))
    fronts = ExitStack()

    def of(password, name="localhost", cafile=None):
        front = fronts.enter_context(fronted(Front(real, authority.server(name, (name,)))))
        (tmp_path / "password").write_text(f"{password}\n")
        trusted = cafile or authority.pair.certificate
        url = f"rediss://portal@localhost:{front.port}/0?cafile={trusted}"
        monkeypatch.setenv("REDIS_URL", url)
        broker = env_broker("REDIS_URL", beside="REDIS_PASSWORD")
        settings.REDIS_LOGIN = broker.login
        made = Celery("test", broker=broker.for_celery, set_as_current=False)
        made.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0}
        made.conf.task_publish_retry = False
        fronts.callback(made.close)
        return made

    with fronts:
        yield of


def queued(keeper):
    return keeper.llen("celery")


class TestLogin:
    def test_a_task_goes_over_tls_as_the_user_that_the_address_names(self, application, keeper):
        keeper.execute_command("ACL SETUSER portal reset on >first ~* &* +@all")
        before = queued(keeper)
        application("first").send_task("nothing", kwargs={"one": 1})
        assert queued(keeper) == before + 1

    def test_a_new_connection_takes_the_password_that_the_file_has_by_then(
        self, application, keeper, tmp_path
    ):
        keeper.execute_command("ACL SETUSER portal reset on >first ~* &* +@all")
        app = application("first")
        app.send_task("nothing")
        before = queued(keeper)
        # rotated: both for a while, then connections begin anew with the second alone
        keeper.execute_command("ACL SETUSER portal resetpass >second")
        (tmp_path / "password").write_text("second")
        keeper.client_kill_filter(skipme=True)
        for _ in range(2):  # the first one finds its connection cut
            try:
                app.send_task("nothing")
                break
            except OperationalError:
                continue
        assert queued(keeper) == before + 1

    def test_a_wrong_password_sends_nothing(self, application, keeper):
        keeper.execute_command("ACL SETUSER portal reset on >first ~* &* +@all")
        before = queued(keeper)
        with pytest.raises(OperationalError):
            application("other").send_task("nothing")
        assert queued(keeper) == before

    def test_another_authority_is_refused(self, application, keeper, tmp_path):
        keeper.execute_command("ACL SETUSER portal reset on >first ~* &* +@all")
        other = Authority(tmp_path).pair.certificate
        before = queued(keeper)
        with pytest.raises(OperationalError, match="(?i)certificate|ssl"):
            application("first", cafile=other).send_task("nothing")
        assert queued(keeper) == before

    def test_another_name_is_refused(self, application, keeper):
        keeper.execute_command("ACL SETUSER portal reset on >first ~* &* +@all")
        before = queued(keeper)
        with pytest.raises(OperationalError, match="(?i)mismatch|ssl"):
            application("first", name="other.example.com").send_task("nothing")
        assert queued(keeper) == before

    def test_a_file_that_went_is_a_broker_that_is_away(self, application, keeper, tmp_path):
        app = application("first")
        (tmp_path / "password").unlink()
        with pytest.raises(OperationalError, match="password cannot be read"):
            app.send_task("nothing")


CACHE = product.BASE_DIR / "deploy" / "terraform" / "modules" / "data" / "cache.tf"


def on_eks(user):
    """Return what Terraform lets a user do, in Valkey's own words."""
    (found,) = re.findall(rf'^ +{user} += "(.+)"$', CACHE.read_text(), re.MULTILINE)
    return found


class TestUsersOnEks:
    def test_the_portals_may_do_what_tasks_need(self, application, keeper):
        keeper.execute_command(f"ACL SETUSER portal reset >first {on_eks('portal')}")
        keeper.delete("celery")
        app, done = application("first"), []

        @app.task(name="note")
        def note(word):
            done.append(word)

        app.send_task("note", args=["sent"])
        app.send_task("note", args=["later"], countdown=0.2)
        with start_worker(app, perform_ping_check=False, pool="solo", shutdown_timeout=30):
            until = time.monotonic() + 20
            while len(done) < 2 and time.monotonic() < until:
                time.sleep(0.05)
        assert done == ["sent", "later"]

    @pytest.mark.parametrize("user", ["portal", "ratelimit"])
    @pytest.mark.parametrize("command", ["ACL LIST", "CONFIG GET *", "FLUSHALL", "KEYS *"])
    def test_nobodys_may_change_the_server(self, server, keeper, user, command):
        keeper.execute_command(f"ACL SETUSER {user} reset >first {on_eks(user)}")
        client = redis.Redis(port=server, username=user, password="first")  # noqa: S106
        with client, pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command.split())

    def test_the_gateways_counters_count(self, server, keeper):
        keeper.execute_command(f"ACL SETUSER ratelimit reset >first {on_eks('ratelimit')}")
        with redis.Redis(port=server, username="ratelimit", password="first") as client:  # noqa: S106
            assert client.ping()
            counting = client.pipeline(transaction=False)
            counting.incrby("team_minute_1", 120).expire("team_minute_1", 60)
            assert counting.execute() == [120, True]
            assert client.get("team_minute_1") == b"120"
