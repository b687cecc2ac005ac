"""The one door through which the cluster is changed: commits to the GitOps branch.

A local bare mirror, plumbing commands only (a temporary index, write-tree, commit-tree), and a push
that names the value it expects. One set of trailers is one commit for good: before making one, the
client looks for it on the remote branch. So a crash between the push and the database row, or two
workers at once, make no second commit. Changing the same thing again later therefore needs trailers
of its own (a generation, a digest).
"""

import fcntl
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.git.index import Carrier, CommitIndex
from apps.integrations.git.process import GitFailed, in_words, run
from apps.integrations.git.types import CommitObjects, CommitRef

log = logging.getLogger(__name__)

Changes = Mapping[str, bytes | None]
PUSH_ATTEMPTS = 6
AUTHOR = ("Quartermaster", "quartermaster@localhost")
_SHA = re.compile(r"^[0-9a-f]{40}\Z")
ASK_AFTER = timedelta(seconds=5)
ASK_AT_LEAST_EVERY = timedelta(minutes=30)
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
RACE_WORDS = (
    "stale info",
    "fetch first",
    "non-fast-forward",
    "cannot lock ref",
    "failed to update ref",
    "remote ref",
)


class GitClient:
    """Commits to, and reads from, one branch of one remote repository. author: the name, "" for
    none, and the address that commits are made under.
    """

    def __init__(
        self,
        *,
        remote: str,
        branch: str,
        workdir: Path,
        timeout: float = 20.0,
        author: tuple[str, str] = AUTHOR,
    ) -> None:
        self.remote = remote
        self.branch = branch
        self.timeout = timeout
        name, address = author
        self._author = {
            "GIT_AUTHOR_NAME": name or address,
            "GIT_AUTHOR_EMAIL": address,
            "GIT_COMMITTER_NAME": name or address,
            "GIT_COMMITTER_EMAIL": address,
        }
        self._mirror = workdir / "mirror.git"
        self._lock = workdir / "mirror.lock"
        self._index = CommitIndex(workdir / "commits.sqlite")
        self._tracking = f"refs/remotes/origin/{branch}"

    def commit(
        self,
        *,
        changes: Changes,
        message: str,
        trailers: Mapping[str, str],
        unless_present: Mapping[str, bytes] | None = None,
        only_over: Mapping[str, bytes] | None = None,
    ) -> CommitRef:
        """Commit `changes` (path → content, None removes) to the branch and push; return the
        commit.

        trailers: say which step this is; a commit with exactly these trailers is returned instead
        of made again.
        unless_present: files to add only where the branch has none at that path when the commit is
        made.
        only_over: what the branch must hold at these paths when the commit is made, so that
        nobody's work is lost. Raises TemporaryError (remote away, busy) or PermanentError
        (refused), both in words.
        """
        if not trailers:
            raise ValueError("A commit needs trailers to be found again.")
        with self._locked():
            for _ in range(PUSH_ATTEMPTS):
                self._fetch()
                found = self._find(trailers)
                if found:
                    return found
                head = self._head()
                self._require(head, only_over or {})
                wanted = dict(changes) | {
                    path: data
                    for path, data in (unless_present or {}).items()
                    if self._blob(head, path) is None
                }
                sha = self._commit_tree(self._tree(head, wanted), head, message, trailers)
                if self._push(sha, head):
                    return CommitRef(sha=sha, created=True, committed_at=self._committed_at(sha))
        raise TemporaryError(
            "Others keep writing to the GitOps branch; the commit is tried again shortly."
        )

    def ask_again(self, revision: str, *, since: datetime, now: datetime) -> bool:
        """Commit nothing on top of `revision`, so that Argo CD, which is done with it, looks at the
        branch once more.

        Soon at first, then ever less often, by the age of the newest commit; where the branch went
        on, not at all.
        since: when somebody began to wait. Returns whether it committed. A Git server that is away
        or refuses is only
        logged: the row that waits says more than that.
        """
        pause = min(max(ASK_AFTER, (now - since) / 4), ASK_AT_LEAST_EVERY)
        message = (
            f"Have Argo CD try again\n\nIt does nothing more about {revision}. Nothing is changed."
        )
        try:
            if not self._is_head_since(revision, now - pause):
                return False
            return self.commit(
                changes={}, message=message, trailers={"Quartermaster-Again": revision}
            ).created
        except (TemporaryError, PermanentError) as error:
            log.warning("Argo CD is not asked again about %s: %s", revision[:8], error)
            return False

    def read(self, path: str) -> bytes | None:
        """Return the file's content at the head of the remote branch; None where there is none."""
        with self._locked():
            self._fetch()
            return self._blob(self._head(), path)

    def paths(self, prefix: str) -> list[str]:
        """Return the paths of the files under the folder `prefix` at the head of the remote branch,
        sorted.
        """
        with self._locked():
            self._fetch()
            head = self._head()
            out = (
                self._git("ls-tree", "-r", "--name-only", "-z", head, "--", prefix or ".")
                if head
                else ""
            )
        return sorted(path for path in out.split("\0") if path)

    def find(self, trailers: Mapping[str, str]) -> CommitRef | None:
        """Return the commit on the remote branch with exactly these trailers, or None."""
        with self._locked():
            self._fetch()
            return self._find(trailers)

    def diff(self, changes: Changes) -> str:
        """Return what `changes` would change at the head of the remote branch, as a unified diff
        ("" for nothing).
        """
        with self._locked():
            self._fetch()
            head = self._head()
            tree = self._tree(head, changes)
            return self._git(
                "diff-tree", "-p", "-r", "--no-color", "--no-renames", head or EMPTY_TREE, tree
            )

    def objects(self, sha: str, also: Iterable[str] = ()) -> CommitObjects:
        """Return a commit of the branch, or one that the branch had, with every file that it
        changed. also: paths of more files. Raises PermanentError where the repository has no such
        commit.
        """
        with self._locked():
            if not self._known(sha):
                self._fetch()
            if not _SHA.match(sha) or not self._known(sha):
                raise PermanentError(f"The GitOps repository has no commit {sha}.")
            names = self._git(
                "diff-tree", "-r", "-z", "--root", "--no-commit-id", "--no-renames", "--name-only",
                sha,
            )  # fmt: skip
            paths = sorted({*filter(None, names.split("\0")), *also})
            files = {path: self._blob(sha, path) for path in paths}
            trees: dict[str, bytes] = {}
            for path in files:
                trees |= self._trees(sha, path)
            patch = ("diff-tree", "-p", "-r", "--root", "--no-commit-id", "--no-renames", sha)
            return CommitObjects(self._object("commit", sha), trees, files, _raw(self._git(*patch)))

    def contains(self, revision: str, sha: str) -> bool:
        """Tell whether commit `sha` is `revision` or one of its ancestors; never where `revision`
        names no commit.

        Fetches only when `revision` is unknown.
        """
        if not _SHA.match(revision):
            return False
        if revision == sha:
            return True
        with self._locked():
            if self._is_ancestor(sha, revision):
                return True
            if self._known(revision):
                return False
            self._fetch()
            return self._is_ancestor(sha, revision)

    def is_on_branch(self, sha: str) -> bool:
        """Tell whether commit `sha` is still on the remote branch (False: its history was
        rewritten).
        """
        with self._locked():
            self._fetch()
            head = self._head()
            return head is not None and self._is_ancestor(sha, head)

    def _is_head_since(self, revision: str, since: datetime) -> bool:
        """Tell whether a commit is the branch's newest, and older than that; fetches only where it
        may be.
        """
        with self._locked():
            if not _SHA.match(revision) or (
                self._known(revision) and self._committed_at(revision) > since
            ):
                return False
            self._fetch()
            return self._head() == revision and self._committed_at(revision) <= since

    # -- The mirror --------------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the mirror alone; errors of git inside become the two errors that callers know."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as handle:
            self._take(handle.fileno())
            try:
                self._prepare()
                yield
            except GitFailed as error:
                raise in_words(error, branch=self.branch) from None

    def _take(self, descriptor: int) -> None:
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TemporaryError(
                        "The Git mirror is in use by another worker.", retry_after=5
                    ) from None
                time.sleep(0.05)

    def _prepare(self) -> None:
        """Make the mirror where it is missing or broken, and drop lock files that a killed git left
        behind.
        """
        if not (self._mirror / "HEAD").exists():
            shutil.rmtree(self._mirror, ignore_errors=True)
            self._git("init", "--bare", "--quiet", str(self._mirror))
        for stale in (*self._mirror.glob("*.lock"), *(self._mirror / "refs").rglob("*.lock")):
            stale.unlink(missing_ok=True)

    def _fetch(self) -> None:
        source = f"+refs/heads/{self.branch}:{self._tracking}"
        try:
            self._git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", self.remote, source)
        except GitFailed as error:
            if "couldn't find remote ref" not in error.output.lower():
                raise
            self._git("update-ref", "-d", self._tracking)

    def _head(self) -> str | None:
        try:
            return self._git("rev-parse", "--verify", "--quiet", self._tracking).strip()
        except GitFailed:
            return None

    def _known(self, revision: str) -> bool:
        try:
            self._git("cat-file", "-e", f"{revision}^{{commit}}")
        except GitFailed:
            return False
        return True

    def _is_ancestor(self, sha: str, revision: str) -> bool:
        """Tell whether one commit is another or leads to it; not where either is unknown here."""
        try:
            self._git("merge-base", "--is-ancestor", sha, revision)
        except GitFailed:
            return False
        return True

    def _blob(self, head: str | None, path: str) -> bytes | None:
        if head is None or not self._git("ls-tree", head, "--", path):
            return None
        return self._object("blob", f"{head}:{path}")

    def _object(self, kind: str, name: str) -> bytes:
        return _raw(self._git("cat-file", kind, name))

    def _trees(self, sha: str, path: str) -> dict[str, bytes]:
        """Return the tree objects of a commit on the way to a path, as far as they go, by id."""
        found: dict[str, bytes] = {}
        *folders, _ = path.split("/")
        for depth in range(len(folders) + 1):
            place = f"{sha}:{'/'.join(folders[:depth])}"
            try:
                tree = self._git("rev-parse", "--verify", "--quiet", place).strip()
            except GitFailed:
                break
            found[tree] = self._object("tree", tree)
        return found

    def _require(self, head: str | None, files: Mapping[str, bytes]) -> None:
        """Raise PermanentError unless the branch holds exactly these files' contents."""
        for path, content in files.items():
            if self._blob(head, path) != content:
                raise PermanentError(
                    f"{path} was changed on branch {self.branch} after this was asked for, so it "
                    f"was not overwritten. "
                    "Look at the branch and ask again."
                )

    def _find(self, trailers: Mapping[str, str]) -> CommitRef | None:
        head = self._head()
        if head is None:
            return None
        self._read_up_to(head)
        return self._index.find(trailers)

    def _read_up_to(self, head: str) -> None:
        """Read what of the branch's history is new, or all of it where it was rewritten."""
        known = self._index.head()
        if known == head:
            return
        anew = not known or not self._is_ancestor(known, head)
        which = head if anew else f"{known}..{head}"
        fields = "--format=%H%x1f%ct%x1f%(trailers:only,unfold)%x1e"
        out = self._git("log", "--reverse", fields, which)
        self._index.add(head, _carriers(out), anew=anew)

    # -- Making a commit ---------------------------------------------------------------------------

    def _tree(self, head: str | None, changes: Changes) -> str:
        with tempfile.TemporaryDirectory(dir=self._mirror.parent) as folder:
            environment = {"GIT_INDEX_FILE": f"{folder}/index"}
            self._git("read-tree", head or "--empty", environment=environment)
            lines = "".join(
                f"{self._entry(data)}\t{path}\n" for path, data in sorted(changes.items())
            )
            self._git("update-index", "--index-info", stdin=lines.encode(), environment=environment)
            return self._git("write-tree", environment=environment).strip()

    def _entry(self, data: bytes | None) -> str:
        if data is None:
            return f"0 {'0' * 40}"
        return f"100644 {self._git('hash-object', '-w', '--stdin', stdin=data).strip()}"

    def _commit_tree(
        self, tree: str, head: str | None, message: str, trailers: Mapping[str, str]
    ) -> str:
        text = (
            message.strip()
            + "\n\n"
            + "".join(f"{key}: {value}\n" for key, value in trailers.items())
        )
        parents = ("-p", head) if head else ()
        commit = ("commit-tree", tree, *parents, "-F", "-")
        return self._git(*commit, stdin=text.encode(), environment=self._author).strip()

    def _push(self, sha: str, head: str | None) -> bool:
        """Push; False when another writer was first."""
        target = f"refs/heads/{self.branch}"
        lease = f"--force-with-lease={target}:{head or ''}"
        try:
            self._git("push", "--porcelain", lease, self.remote, f"{sha}:{target}")
        except GitFailed as error:
            said = error.output.lower()
            if "hook declined" not in said and any(word in said for word in RACE_WORDS):
                return False
            raise
        return True

    def _committed_at(self, sha: str) -> datetime:
        return datetime.fromtimestamp(int(self._git("show", "-s", "--format=%ct", sha)), UTC)

    def _git(
        self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> str:
        return run(
            self._mirror, *arguments, stdin=stdin, timeout=self.timeout, environment=environment
        )


def _raw(text: str) -> bytes:
    """Return what git printed, byte for byte."""
    return text.encode(errors="surrogateescape")


def _carriers(out: str) -> Iterator[Carrier]:
    """Return the commits with trailers that `git log` told of. One of somebody else that no line of
    ours can be like is left out.
    """
    for record in out.split("\x1e"):
        parts = record.strip("\n").split("\x1f")
        if len(parts) == 3 and _SHA.match(parts[0]) and (found := _trailers(parts[2])):
            yield Carrier(parts[0], int(parts[1]), found)


def _trailers(text: str) -> dict[str, str]:
    """Return the trailers of a commit as a mapping."""
    pairs = (line.partition(": ") for line in text.splitlines() if ": " in line)
    return {key: value.strip() for key, _, value in pairs}


def client_from_settings(*, timeout: float = 20.0) -> GitClient:
    """Return the client for the GitOps repository. A page passes a short timeout: it can show words
    instead.
    """
    return GitClient(
        remote=settings.GITOPS_REMOTE,
        branch=settings.GITOPS_BRANCH,
        workdir=Path(settings.GITOPS_WORKDIR),
        timeout=timeout,
        author=settings.GITOPS_AUTHOR,
    )
