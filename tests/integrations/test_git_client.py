"""The Git client against a real bare repository."""

import hashlib
import os
import subprocess
import threading
from datetime import UTC, datetime, timedelta

import pytest

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.git.client import GitClient, client_from_settings
from apps.integrations.git.process import redact
from tests.commit_times import commits_at
from tests.factories import NOW

TRAILERS = {
    "Quartermaster-Rollout": "11111111-1111-1111-1111-111111111111",
    "Quartermaster-Step": "SERVE",
}


AUTHOR = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")


def git(*arguments, cwd):
    return subprocess.run(
        ["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def remote(tmp_path):
    path = tmp_path / "gitops.git"
    git("init", "--bare", "--quiet", "-b", "main", str(path), cwd=tmp_path)
    return path


def client_of(remote, folder, timeout=10.0):
    return GitClient(remote=f"file://{remote}", branch="main", workdir=folder, timeout=timeout)


@pytest.fixture
def client(remote, tmp_path):
    return client_of(remote, tmp_path / "work")


def commits(remote):
    return git("log", "--format=%H", "main", cwd=remote).split()


class TestCommit:
    def test_writes_changes_and_removes_files_on_an_empty_branch_and_after(self, client, remote):
        client.commit(
            changes={"a/b.yaml": b"one\n", "c.yaml": b"\xff\x00"},
            message="First",
            trailers={"T": "1"},
        )
        client.commit(changes={"a/b.yaml": None}, message="Second", trailers={"T": "2"})
        assert git("ls-tree", "-r", "--name-only", "main", cwd=remote).split() == ["c.yaml"]
        assert client.read("c.yaml") == b"\xff\x00"
        assert client.read("a/b.yaml") is None

    def test_carries_its_trailers(self, client, remote):
        made = client.commit(changes={"a": b"x"}, message="Serve m-v1\n\nWhy.", trailers=TRAILERS)
        shown = git("log", "-1", "--format=%(trailers:only)", made.sha, cwd=remote)
        assert shown.strip().splitlines() == [f"{key}: {value}" for key, value in TRAILERS.items()]

    def test_returns_the_commit_that_is_there_after_a_crash_between_push_and_row(
        self, client, remote, tmp_path
    ):
        first = client.commit(changes={"a": b"x"}, message="Serve", trailers=TRAILERS)
        second = client_of(remote, tmp_path / "other").commit(
            changes={"a": b"x"}, message="Serve", trailers=TRAILERS
        )
        assert (first.created, second.created) == (True, False)
        assert first.sha == second.sha
        assert len(commits(remote)) == 1

    def test_tells_trailer_sets_apart_by_every_value(self, client, remote):
        client.commit(changes={"a": b"x"}, message="Serve", trailers=TRAILERS)
        client.commit(
            changes={"a": b"y"},
            message="Shift",
            trailers=TRAILERS | {"Quartermaster-Step": "SHIFT"},
        )
        client.commit(
            changes={"a": b"z"}, message="More", trailers=TRAILERS | {"Quartermaster-Extra": "1"}
        )
        assert len(commits(remote)) == 3

    def test_makes_its_commit_even_when_the_files_are_equal(self, client, remote):
        client.commit(changes={"a": b"x"}, message="Serve", trailers=TRAILERS)
        made = client.commit(changes={"a": b"x"}, message="Shift", trailers={"T": "2"})
        assert made.created
        assert len(commits(remote)) == 2

    def test_adds_files_only_where_there_are_none(self, client):
        client.commit(changes={"policy": b"of another"}, message="Policy", trailers={"T": "1"})
        client.commit(
            changes={"a": b"x"},
            message="Serve",
            trailers=TRAILERS,
            unless_present={"policy": b"deny", "new": b"n"},
        )
        assert client.read("policy") == b"of another"
        assert client.read("new") == b"n"

    def test_takes_its_turn_when_another_writer_was_first(
        self, client, remote, tmp_path, monkeypatch
    ):
        other = client_of(remote, tmp_path / "other")
        client.commit(changes={"a": b"x"}, message="First", trailers={"T": "0"})
        push, raced = client._push, []

        def race(sha, head):
            if not raced:
                raced.append(
                    other.commit(changes={"b": b"y"}, message="Other", trailers={"T": "1"})
                )
            return push(sha, head)

        monkeypatch.setattr(client, "_push", race)
        made = client.commit(changes={"c": b"z"}, message="Mine", trailers=TRAILERS)
        assert made.created
        assert client.paths("") == ["a", "b", "c"]
        assert len(commits(remote)) == 3

    def test_makes_one_commit_when_many_workers_try_at_once(self, remote, tmp_path):
        results = []

        def work(folder):
            made = client_of(remote, tmp_path / folder, timeout=30).commit(
                changes={"a": b"x"}, message="Serve", trailers=TRAILERS
            )
            results.append(made)

        threads = [
            threading.Thread(target=work, args=(name,)) for name in ("one", "one", "two", "three")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(commits(remote)) == 1
        assert len({made.sha for made in results}) == 1


class TestFailures:
    def test_says_what_a_hook_said(self, client, remote):
        hook = remote / "hooks" / "pre-receive"
        hook.write_text("#!/bin/sh\necho 'frozen until Monday' >&2\nexit 1\n")
        hook.chmod(0o755)
        with pytest.raises(PermanentError, match="refused the commit.*frozen until Monday"):
            client.commit(changes={"a": b"x"}, message="Serve", trailers=TRAILERS)

    def test_waits_when_the_remote_is_away_and_finishes_when_it_is_back(self, client, remote):
        os.rename(remote, f"{remote}.away")
        with pytest.raises(TemporaryError, match="away"):
            client.commit(changes={"a": b"x"}, message="Serve", trailers=TRAILERS)
        os.rename(f"{remote}.away", remote)
        assert client.commit(changes={"a": b"x"}, message="Serve", trailers=TRAILERS).created

    def test_ends_a_git_that_hangs(self, client, remote):
        hook = remote / "hooks" / "pre-receive"
        hook.write_text("#!/bin/sh\nsleep 60\n")
        hook.chmod(0o755)
        slow = GitClient(
            remote=client.remote, branch="main", workdir=client._mirror.parent, timeout=1.0
        )
        with pytest.raises(TemporaryError, match="did not answer"):
            slow.commit(changes={"a": b"x"}, message="Serve", trailers=TRAILERS)

    def test_never_shows_credentials(self):
        shown = redact(
            "fatal: unable to access 'https://bot:s3cret@git.example/x.git/': ghp_abcdefghijklmnop"
        )
        assert "s3cret" not in shown
        assert "bot" not in shown
        assert "ghp_" not in shown

    def test_goes_on_after_a_killed_git_left_its_lock_files(self, client):
        client.commit(changes={"a": b"x"}, message="Serve", trailers=TRAILERS)
        client.read("a")
        (client._mirror / "refs/remotes/origin/main.lock").write_text("")
        (client._mirror / "packed-refs.lock").write_text("")
        assert client.commit(changes={"a": b"y"}, message="More", trailers={"T": "2"}).created


class TestAskAgain:
    def test_commits_nothing_on_top_of_what_argo_cd_gave_up_ever_less_often(self, client, remote):
        since = NOW - timedelta(seconds=2)
        with commits_at(NOW):
            head = client.commit(changes={"a": b"x"}, message="Serve", trailers=TRAILERS).sha
        assert not client.ask_again(head, since=since, now=NOW + timedelta(seconds=4))
        with commits_at(NOW + timedelta(seconds=6)):
            assert client.ask_again(head, since=since, now=NOW + timedelta(seconds=6))
        (again, first) = commits(remote)
        assert (first, git("diff", first, again, cwd=remote)) == (head, "")
        assert not client.ask_again(head, since=since, now=NOW + timedelta(hours=1)), (
            "the branch went on"
        )
        late = NOW + timedelta(hours=1)
        with commits_at(late):
            assert client.ask_again(commits(remote)[0], since=since, now=late)
        assert not client.ask_again(
            commits(remote)[0], since=since, now=late + timedelta(minutes=14)
        )
        assert client.ask_again(commits(remote)[0], since=since, now=late + timedelta(minutes=21))

    def test_is_only_logged_where_the_server_refuses_or_is_away(self, client, remote, caplog):
        head = client.commit(changes={"a": b"x"}, message="Serve", trailers=TRAILERS).sha
        hook = remote / "hooks" / "pre-receive"
        hook.write_text("#!/bin/sh\necho frozen >&2\nexit 1\n")
        hook.chmod(0o700)
        later = datetime.now(UTC) + timedelta(minutes=1)
        assert not client.ask_again(head, since=later, now=later)
        assert "frozen" in caplog.messages[-1]
        remote.rename(remote.with_suffix(".away"))
        assert not client.ask_again(head, since=later, now=later)
        assert "away" in caplog.messages[-1]

    def test_is_not_for_what_is_no_commit_of_the_branch(self, client, remote):
        client.commit(changes={"a": b"x"}, message="Serve", trailers=TRAILERS)
        assert not client.ask_again("main", since=NOW, now=NOW + timedelta(days=9))
        assert len(commits(remote)) == 1


class TestReading:
    def test_shows_the_diff_that_a_commit_would_make(self, client):
        client.commit(changes={"a": b"one\n"}, message="Serve", trailers=TRAILERS)
        text = client.diff({"a": b"two\n", "b": b"new\n"})
        assert "-one" in text
        assert "+two" in text
        assert "+++ b/b" in text
        assert client.diff({"a": b"one\n"}) == ""

    def test_knows_whether_a_revision_contains_a_commit(self, client, remote, tmp_path):
        first = client.commit(changes={"a": b"x"}, message="Serve", trailers=TRAILERS)
        second = client_of(remote, tmp_path / "o").commit(
            changes={"b": b"x"}, message="Other", trailers={"T": "2"}
        )
        assert client.contains(second.sha, first.sha)
        assert not client.contains(first.sha, second.sha)
        assert not client.contains("main", first.sha)
        assert client.is_on_branch(first.sha)
        assert not client.is_on_branch("0" * 40)

    def test_lists_paths_under_a_folder(self, client):
        client.commit(
            changes={"s/b": b"1", "s/a/c": b"2", "t": b"3"}, message="x", trailers={"T": "1"}
        )
        assert client.paths("s") == ["s/a/c", "s/b"]


class TestObjects:
    def test_let_whoever_knows_a_commit_s_id_check_its_files(self, client):
        def git_id(kind, raw):
            return hashlib.sha1(b"%s %d\0%s" % (kind, len(raw), raw)).hexdigest()  # noqa: S324 - Git's own

        client.commit(
            changes={"a/b/one.yaml": b"1\n", "two.yaml": b"\xff\r\n"},
            message="x",
            trailers={"T": "1"},
        )
        made = client.commit(
            changes={"a/b/one.yaml": None, "a/three.yaml": b"3\n"}, message="y", trailers={"T": "2"}
        )
        found = client.objects(made.sha, also=["two.yaml", "no/such.yaml"])
        assert git_id(b"commit", found.raw) == made.sha
        root = found.raw.split(b"\n", 1)[0].removeprefix(b"tree ").decode()
        assert root in found.trees
        assert all(git_id(b"tree", raw) == name for name, raw in found.trees.items())
        assert found.files == {
            "a/b/one.yaml": None,
            "a/three.yaml": b"3\n",
            "no/such.yaml": None,
            "two.yaml": b"\xff\r\n",
        }
        assert b"+3" in found.diff and b"-1" in found.diff

    def test_are_not_there_for_a_commit_that_is_none(self, client):
        client.commit(changes={"a": b"1"}, message="x", trailers={"T": "1"})
        for sha in ("f" * 40, "main"):
            with pytest.raises(PermanentError, match="has no commit"):
                client.objects(sha)


class TestAuthor:
    def test_is_who_the_settings_name(self, remote, tmp_path, settings):
        settings.GITOPS_REMOTE, settings.GITOPS_BRANCH = f"file://{remote}", "main"
        settings.GITOPS_WORKDIR = str(tmp_path / "work")
        settings.GITOPS_AUTHOR = ("Ada Bot", "ada-bot@corp.example")
        client_from_settings().commit(changes={"a": b"1"}, message="First", trailers={"T": "1"})
        said = git("log", "-1", "--format=%an <%ae>, %cn <%ce>", "main", cwd=remote)
        name = "Ada Bot <ada-bot@corp.example>"
        assert said.strip() == f"{name}, {name}"


class TestHistory:
    """A branch of many commits is read once; after that, only what is new."""

    @pytest.fixture
    def read(self, client, monkeypatch):
        """How many commits were taken in from the history, by each reading of it."""
        counts, add = [], client._index.add

        def counted(head, commits, *, anew):
            taken = list(commits)
            counts.append((len(taken), anew))
            add(head, taken, anew=anew)

        monkeypatch.setattr(client._index, "add", counted)
        return counts

    @staticmethod
    def fill(client, remote, tmp_path, count):
        """Give the branch commits that somebody else made, each with a trailer."""
        other = client_of(remote, tmp_path / "other")
        for number in range(count):
            other.commit(
                changes={f"f{number}": b"x"}, message="More", trailers={"Other": f"{number}"}
            )
        return other

    def test_is_read_once_and_then_only_where_it_is_new(self, client, remote, tmp_path, read):
        self.fill(client, remote, tmp_path, 12)
        for step in range(4):
            client.commit(changes={"a": b"%d" % step}, message="Ours", trailers={"Step": str(step)})
        assert read == [(12, True), (1, False), (1, False), (1, False)]
        assert client.find({"Other": "3"}).created is False
        assert client.find({"Other": "13"}) is None
        assert client.find({"Other": "3", "Step": "1"}) is None

    def test_the_newest_of_two_with_the_same_trailers_is_found(self, client, remote, tmp_path):
        with commits_at(NOW):
            client.commit(changes={"a": b"1"}, message="One", trailers=TRAILERS)
        clone = tmp_path / "clone"
        git("clone", "-q", str(remote), str(clone), cwd=tmp_path)
        words = "\n".join(f"{name}: {value}" for name, value in TRAILERS.items())
        git(*AUTHOR, "commit", "-q", "--allow-empty", "-m", f"Again\n\n{words}", cwd=clone)
        git("push", "-q", "origin", "main", cwd=clone)
        newest = commits(remote)[0]
        assert client.find(TRAILERS).sha == newest

    def test_a_branch_that_was_rewritten_is_read_anew(self, client, remote, tmp_path, read):
        self.fill(client, remote, tmp_path, 3)
        assert client.find({"Other": "2"}) is not None
        git("update-ref", "refs/heads/main", "main~1", cwd=remote)
        assert client.find({"Other": "2"}) is None
        assert client.find({"Other": "1"}) is not None
        assert read == [(3, True), (2, True)]

    def test_a_broken_file_is_begun_anew(self, client, remote, tmp_path, read):
        self.fill(client, remote, tmp_path, 2)
        (tmp_path / "work").mkdir()
        (tmp_path / "work" / "commits.sqlite").write_bytes(b"no database" * 200)
        assert client.find({"Other": "1"}) is not None
        assert read == [(2, True)]

    def test_odd_commits_of_others_stand_in_no_way(self, client, remote, tmp_path):
        clone = tmp_path / "clone"
        self.fill(client, remote, tmp_path, 1)
        git("clone", "-q", str(remote), str(clone), cwd=tmp_path)
        odd = "Odd\n\nTrailer: a\x1fb\x1ec\x1f1\x1fT: 1"
        git(*AUTHOR, "commit", "-q", "--allow-empty", "-m", odd, cwd=clone)
        git("push", "-q", "origin", "main", cwd=clone)
        made = client.commit(changes={"a": b"1"}, message="Ours", trailers={"T": "1"})
        assert made.created
        assert client.find({"T": "1"}).sha == made.sha
        assert client.find({"Other": "0"}) is not None
