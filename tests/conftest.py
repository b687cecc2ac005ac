"""The cast: alice owns the model, bob is on her team, carol approves, charlie is a stranger."""

from pathlib import Path

import pytest

STORY = Path(__file__).parent / "story"
SECOND_STACK = ("test_capacity.py", "test_trouble.py", "test_sleep.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what one worker runs in a row: a file's tests, which share servers, and the files that share a stack."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item.path)))


def _group(path: Path) -> str:
    if path.parent != STORY:
        return str(path.relative_to(STORY.parent))
    return "second-stack" if path.name in SECOND_STACK else "first-stack"


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

    return UserFactory(username="carol", team=TeamFactory(slug="model-risk"), with_roles=[Role.REVIEWER])


@pytest.fixture
def charlie(db):
    """A stranger: team lead of another team."""
    from apps.accounts.models import Role
    from tests.factories import TeamFactory, UserFactory

    return UserFactory(username="charlie", team=TeamFactory(slug="claims-review"), with_roles=[Role.TEAM_LEAD])


@pytest.fixture
def registered_model(alice):
    """Alice's model."""
    from tests.factories import RegisteredModelFactory

    return RegisteredModelFactory(name="prior-auth-extract", owner_team=alice.team, created_by=alice)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """A real S3 server with the registry's bucket; its port."""
    from tests.integrations import versitygw

    if versitygw.binary() is None:
        pytest.skip("versitygw is not here: build the platform, or name a folder in QUARTERMASTER_BINARIES")
    with versitygw.running(tmp_path_factory.mktemp("s3")) as port, pytest.MonkeyPatch.context() as patch:
        for name, value in versitygw.environment(port).items():
            patch.setenv(name, value)
        from apps.integrations.s3.client import RegistryStore

        versitygw.make_bucket(RegistryStore(bucket=versitygw.BUCKET))
        yield port


@pytest.fixture
def store(s3_server):
    """The registry store on a real S3 server. Keys stay for the whole test run, so tests take names of their own."""
    from apps.integrations.s3.client import RegistryStore
    from tests.integrations.versitygw import BUCKET

    return RegistryStore(bucket=BUCKET)
