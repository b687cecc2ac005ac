"""The cast: alice owns the model, bob is on her team, carol approves, charlie is a stranger."""

import gc
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

# On a busy machine an example may take its time: how long is no fault of what it tries.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")
KEEPER = pytest.StashKey[Any]()
SECOND_STACK = ("test_trouble.py", "test_nodes.py", "test_node_times.py", "test_sleep.py")
# Files whose tests take a quarter of a minute and more: the last worker must not be left with one.
LONG = {
    "tests/fleet/test_day.py", "tests/local/test_cluster_running.py",
    "tests/local/test_engine_sample.py", "tests/local/test_gateway_envoy.py",
    "tests/local/test_stack_commands.py", "tests/local/test_stack_real.py",
    "tests/manifests/test_dry_run.py", "tests/portal/test_hostile_input.py",
    "tests/portal/test_matrix.py", "tests/promotions/rollouts/test_weights.py",
    "tests/prompts/test_canaries.py", "tests/prompts/storage/test_reconcile.py",
}  # fmt: skip


class ByServers(LoadScopeScheduling):
    """Gives one worker what shares servers: the tests of a file, and the files of the story that
    share a stack.
    """

    def _split_scope(self, nodeid: str) -> str:
        folder, _, file = nodeid.partition("::")[0].rpartition("/")
        if folder != "tests/story":
            return f"{folder}/{file}"
        return "second stack" if file in SECOND_STACK else "first stack"


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByServers:
    """Distribute by servers (`make test`)."""
    return ByServers(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None]:
    """Mark what stores on the real S3 server as `stack`: that is one of the ready-built programs,
    which `make check` starts none of. With several workers, let what takes longest begin first.
    """
    for item in items:
        if "s3_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)
    yield
    if hasattr(config, "workerinput"):
        items.sort(key=_is_short)


def _is_short(item: pytest.Item) -> bool:
    where = item.nodeid.partition("::")[0]
    return not where.startswith("tests/story/") and where not in LONG


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what lasts for the whole run.

    Looking through thousands of tests and every module again and again took an eighth of the time.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let those tests alone see the kept rows that ask for them."""
    if keeper := item.config.stash.get(KEEPER, None):
        keeper.prepare(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings):
    """The owner makes and migrates the database."""
    from tests import database

    database.connect_as_owner()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """The tests run as the portal's role; the owner takes the database down again."""
    from tests import database

    with django_db_blocker.unblock():
        database.hand_over()
    yield
    with django_db_blocker.unblock():
        database.connect_as_owner()


@pytest.fixture
def committed(emptied_by_its_owner, transactional_db):
    """Really commit, for threads; afterwards the owner empties the tables, which those of the
    record would refuse.
    """
    from django.db import connection

    from tests import database

    yield
    database.connect_as_owner()
    with connection.cursor() as cursor:
        for table in database.RECORD:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")


@pytest.fixture
def emptied_by_its_owner(django_db_setup, django_db_blocker):
    """Give the record its guards back, after everything else was cleaned up."""
    from django.db import connection

    from tests import database

    yield
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            for table in database.RECORD:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        database.connect_as_portal()


@pytest.fixture(scope="session", autouse=True)
def fresh_sign_ins():
    """Let people of tests, and browsers of the tests' client, have just signed in: tests decide
    much, and a stale sign-in is the subject of few (`stale_by_default`).
    """
    from django.test import Client

    from apps.accounts.models import User
    from apps.accounts.sessions import AUTH_TIME
    from apps.common.sign_ins import JUST_NOW

    force_login = Client.force_login

    def sign_in(client, user, backend=None):
        force_login(client, user, backend)
        session = client.session
        session[AUTH_TIME] = int(time.time())
        session.save()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(User, "sign_in", JUST_NOW)
        patch.setattr(Client, "force_login", sign_in)
        yield


@pytest.fixture
def stale_by_default(monkeypatch):
    """Let nobody have signed in but those of whom the door they come through says it, as it is
    outside of tests.
    """
    from apps.accounts.models import User

    monkeypatch.setattr(User, "sign_in", None)


@pytest.fixture
def alice(db):
    """Owns the model: model owner of the owning team."""
    from apps.accounts.models import Role
    from tests.factories import TeamFactory, UserFactory

    team = TeamFactory(slug="ml-platform")
    return UserFactory(username="alice", team=team, with_roles=[Role.MODEL_OWNER])


@pytest.fixture
def bob(alice):
    """Alice's colleague: a model owner of the same team."""
    from apps.accounts.models import Role
    from tests.factories import UserFactory

    return UserFactory(username="bob", team=alice.team, with_roles=[Role.MODEL_OWNER])


@pytest.fixture
def carol(db):
    """Approves: a reviewer."""
    from apps.accounts.models import Role
    from tests.factories import TeamFactory, UserFactory

    return UserFactory(
        username="carol", team=TeamFactory(slug="model-risk"), with_roles=[Role.REVIEWER]
    )


@pytest.fixture
def charlie(db):
    """A stranger: team lead of another team."""
    from apps.accounts.models import Role
    from tests.factories import TeamFactory, UserFactory

    return UserFactory(
        username="charlie", team=TeamFactory(slug="claims-review"), with_roles=[Role.TEAM_LEAD]
    )


@pytest.fixture
def registered_model(alice):
    """Alice's model."""
    from tests.factories import RegisteredModelFactory

    return RegisteredModelFactory(
        name="prior-auth-extract", owner_team=alice.team, created_by=alice
    )


@pytest.fixture(scope="session")
def keeper(request, django_db_setup, django_db_blocker):
    """Who keeps rows from test to test (tests/kept.py)."""
    from tests.kept import Keeper

    request.config.stash[KEEPER] = keeper = Keeper(django_db_blocker)
    yield keeper
    keeper.leave()


@pytest.fixture(scope="session")
def kept_world(keeper):
    """The world of the cast, made once for the tests that ask for it one after another."""
    from tests.portal import cast

    keeper.keep("kept_world", cast.build)


@pytest.fixture
def world(kept_world, keeper, db, monkeypatch):
    """Everybody and one of each thing, untouched; bearer tokens say no more than whose they are
    (tokens are tested in tests/accounts).

    Doors are judged by what they answer: `answer.context` is not kept, since each of the hundreds
    of fragments of a page would copy its own.
    """
    from apps.catalog.uploads import Registry
    from tests.portal import cast

    monkeypatch.setattr("apps.accounts.oidc.verify", lambda token, audience: cast.claims_of(token))
    monkeypatch.setattr(
        "apps.catalog.api.registry_from_settings", lambda: Registry(None, timedelta(days=1))
    )
    monkeypatch.setattr("django.test.client.store_rendered_templates", lambda *_, **__: None)
    return keeper.copy()


@pytest.fixture
def audit_away(monkeypatch):
    """Let a block write no audit event: what it would record must then not happen either."""
    from apps.audit.models import AuditEvent
    from tests.trail import AuditAway

    def refuse(*_, **__):
        raise AuditAway

    @contextmanager
    def away():
        with monkeypatch.context() as patch:
            patch.setattr(AuditEvent, "save", refuse)
            yield

    return away


@pytest.fixture
def enqueued(monkeypatch, django_capture_on_commit_callbacks):
    """Collect what a block asks of the workers once it is committed: (task, arguments)."""

    @contextmanager
    def collect():
        sent = []
        monkeypatch.setattr(
            "apps.common.tasks.current_app.send_task",
            lambda name, kwargs, **_: sent.append((name, kwargs)),
        )
        with django_capture_on_commit_callbacks(execute=True):
            yield sent

    return collect


@pytest.fixture(scope="session")
def s3_folder(tmp_path_factory):
    """The folder that the S3 server keeps its objects in."""
    return tmp_path_factory.mktemp("s3")


@pytest.fixture(scope="session")
def s3_server(s3_folder):
    """A real S3 server with the registry's bucket; its port."""
    from tests.integrations import versitygw

    if versitygw.binary() is None:
        pytest.skip(
            "versitygw is not here: build the platform, or name a folder in QUARTERMASTER_BINARIES"
        )
    with (
        versitygw.running(s3_folder) as port,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in versitygw.environment(port).items():
            patch.setenv(name, value)
        from apps.integrations.s3.client import RegistryStore, client_from_settings

        client_from_settings.cache_clear()  # one that an earlier test made knows no such address
        versitygw.make_bucket(RegistryStore(bucket=versitygw.BUCKET))
        yield port


@pytest.fixture(scope="session")
def archive_bucket(s3_server):
    """The archive's bucket as production has it; keys stay for the whole run."""
    from apps.integrations.s3.client import RegistryStore
    from tests.integrations import versitygw

    versitygw.make_bucket(RegistryStore(bucket="usage-archive"))
    return "usage-archive"


@pytest.fixture
def archive(archive_bucket):
    """The archive of usage on a real S3 server."""
    from apps.integrations.s3.client import RegistryStore

    return RegistryStore(bucket=archive_bucket, name="archive of usage")


@pytest.fixture
def store(s3_server):
    """The registry store on a real S3 server. Keys stay for the whole test run, so tests take names
    of their own.
    """
    from apps.integrations.s3.client import RegistryStore
    from tests.integrations.versitygw import BUCKET

    return RegistryStore(bucket=BUCKET)
