"""The images: built twice to the same id, and started once as who they run as on a cluster."""

import tarfile

import pytest

from deploy.images.__main__ import ROOT
from deploy.images.build import CONTAINERFILES, Builder, CannotBuild, missing

pytestmark = [
    pytest.mark.delivery,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.timeout(1800),
]
NOWHERE = "postgres://portal@127.0.0.1:1/portal"
SETTINGS = (
    "SECRET_KEY=only-here", "PORTAL_URL=https://portal.example.com", f"DATABASE_URL={NOWHERE}",
    "REDIS_URL=redis://127.0.0.1:1/0", "OIDC_ISSUER=https://idp.example.com",
    "OIDC_CLIENT_SECRET=only-here",
)  # fmt: skip
WRITABLE = "find / -xdev -writable -not -path '/proc/*' -not -path '/dev/*' -not -type l"


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return Builder(ROOT, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def images(builder):
    """Name → id of each image, built once."""
    return {name: builder.build(name, base=builder.base(name)) for name in CONTAINERFILES}


@pytest.mark.parametrize("name", sorted(CONTAINERFILES))
class TestEach:
    def test_is_the_same_when_it_is_built_again(self, builder, images, name):
        base = builder.base(name)
        assert builder.build(name, base=base, uses_cache=False) == images[name]

    def test_runs_as_nobody_and_writes_nowhere_but_in_temporary_folders(
        self, builder, images, name
    ):
        assert builder.run(images[name], "id", "-u") == "10001"
        assert builder.run(images[name], "id", "-g") == "10001"
        found = builder.run(images[name], "sh", "-c", f"{WRITABLE} 2>/dev/null; true")
        assert {path for path in found.split() if not path.startswith("/tmp")} <= {
            "/run/lock", "/var/tmp",
        }  # fmt: skip

    def test_has_no_installer_and_nothing_of_this_machine(self, builder, images, name):
        listed = builder.run(images[name], "sh", "-c", "ls /venv/bin /etc /; true")
        names = set(listed.split())
        assert not names & {"pip", "pip3", "pip.conf", "host-ca.crt", "requirements.lock"}

    def test_is_written_as_an_archive_that_tools_read(self, builder, images, name, tmp_path):
        archive = tmp_path / "image.tar"
        builder.save(images[name], archive)
        with tarfile.open(archive) as file:
            assert {"oci-layout", "index.json"} <= set(file.getnames())


class TestLoader:
    def test_says_what_it_wants(self, builder, images):
        with pytest.raises(CannotBuild, match="usage: model-loader"):
            builder.run(images["loader"], "python3", "-m", "deploy.serving.loader")

    def test_has_no_git(self, builder, images):
        with pytest.raises(CannotBuild, match="git"):
            builder.run(images["loader"], "git", "--version")

    def test_holds_nothing_of_the_product_but_the_rules(self, builder, images):
        found = builder.run(images["loader"], "sh", "-c", "cd /app && find . -name '*.py' | sort")
        assert "./deploy/serving/loader.py" in found.split()
        assert len(found.split()) <= 10
        assert "portal" not in found


class TestPortal:
    def test_starts_each_of_its_commands_as_far_as_it_can_without_a_cluster(self, builder, images):
        checked = builder.run(images["portal"], "python", "manage.py", "check", env=SETTINGS)
        assert "no issues" in checked
        with pytest.raises(CannotBuild, match=r"No process is called 'x'.*gate"):
            builder.run(images["portal"], "python", "-m", "worker.processes", "x", env=SETTINGS)

    def test_brings_git_which_workers_commit_with(self, builder, images):
        assert "git version" in builder.run(images["portal"], "git", "--version")
        said = "git remote-https 2>&1; true"  # how it speaks to a remote over HTTPS
        assert "not a git command" not in builder.run(images["portal"], "sh", "-c", said)

    def test_names_the_first_setting_that_is_missing(self, builder, images):
        with pytest.raises(CannotBuild, match="is not set. See the table of variables"):
            builder.run(images["portal"], "python", "manage.py", "check")

    def test_brings_its_pages_assets_and_fonts(self, builder, images):
        found = builder.run(images["portal"], "sh", "-c", "ls static/dist/app static/dist/fonts")
        assert ".css" in found
        assert ".ttf" in found

    def test_brings_no_tests_and_no_local_stack(self, builder, images):
        found = builder.run(images["portal"], "sh", "-c", "ls /app /app/deploy").split()
        assert "tests" not in found
        assert "local" not in found
