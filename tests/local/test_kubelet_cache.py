from pathlib import Path

from deploy.local.kubelet import cache

ONE, TWO = (f"sha256:{letter * 64}" for letter in "ab")


def folder(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_text(content)
    return path


class TestKeepAndLend:
    def test_gives_the_next_pod_the_very_files_and_no_others(self, tmp_path: Path) -> None:
        first, other = folder(tmp_path / "1", a="1", b="2"), folder(tmp_path / "2", c="3")
        cache.keep(tmp_path / "cache", ONE, first)
        cache.keep(tmp_path / "cache", TWO, other)
        cache.lend(tmp_path / "cache", ONE, tmp_path / "next")
        assert sorted(path.name for path in (tmp_path / "next").iterdir()) == ["a", "b"]
        assert (tmp_path / "next" / "a").samefile(first / "a")

    def test_leaves_what_lies_in_the_pods_folder(self, tmp_path: Path) -> None:
        cache.keep(tmp_path / "cache", ONE, folder(tmp_path / "1", a="1"))
        again = folder(tmp_path / "2", a="half")
        cache.lend(tmp_path / "cache", ONE, again)
        assert (again / "a").read_text() == "half"

    def test_takes_over_a_file_that_was_loaded_again(self, tmp_path: Path) -> None:
        cache.keep(tmp_path / "cache", ONE, folder(tmp_path / "1", a="spoilt"))
        cache.keep(tmp_path / "cache", ONE, folder(tmp_path / "2", a="right"))
        cache.lend(tmp_path / "cache", ONE, tmp_path / "next")
        assert (tmp_path / "next" / "a").read_text() == "right"

    def test_knows_nothing_but_digests(self, tmp_path: Path) -> None:
        for odd in ("", "sha256:../x", "sha256:ab"):
            cache.keep(tmp_path / "cache", odd, folder(tmp_path / f"from{odd[-2:]}", a="1"))
            cache.lend(tmp_path / "cache", odd, tmp_path / "next")
        assert not (tmp_path / "cache").exists()
        assert list((tmp_path / "next").iterdir()) == []

    def test_lets_the_versions_used_longest_ago_go(self, tmp_path: Path) -> None:
        made = folder(tmp_path / "1", a="1")
        digests = [f"sha256:{number:064x}" for number in range(cache.KEPT_VERSIONS + 2)]
        for digest in digests:
            cache.keep(tmp_path / "cache", digest, made)
        kept = {f"sha256:{path.name}" for path in (tmp_path / "cache").iterdir()}
        assert len(kept) == cache.KEPT_VERSIONS
        assert digests[-1] in kept
