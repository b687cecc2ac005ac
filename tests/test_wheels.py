"""Paths that two wheels share, on made-up wheels."""

from importlib.metadata import PackageNotFoundError

import pytest

from tests import wheels


def install(folder, name, files=()):
    """Unpack a made-up wheel: the hash of each of its files by path."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n")
    lines = [f"{path},sha256={content},1" for path, content in dict(files).items()]
    lines += [f"{info.name}/METADATA,sha256=of-{name},1", f"{info.name}/RECORD,,"]
    (info / "RECORD").write_text("\n".join(lines))


@pytest.fixture
def found(tmp_path):
    """Return what two wheels share, given the files of each: path -> content."""

    def shared(first, second):
        install(tmp_path, "first", first)
        install(tmp_path, "second", second)
        return wheels.shared(wheels.installed(["first", "second"], [str(tmp_path)]))

    return shared


class TestShared:
    def test_is_a_path_with_different_contents(self, found):
        first = {"pkg/__init__.py": "aaa", "pkg/one.py": "bbb"}
        second = {"pkg/__init__.py": "ccc", "pkg/two.py": "bbb"}
        assert found(first, second) == {"pkg/__init__.py": ["first", "second"]}

    def test_is_no_path_with_the_same_contents(self, found):
        assert found({"pkg/__init__.py": "aaa"}, {"pkg/__init__.py": "aaa"}) == {}

    def test_is_no_path_of_one_wheel_alone(self, found):
        assert found({"one.py": "aaa"}, {"two.py": "bbb"}) == {}

    def test_is_a_program_of_both(self, found):
        path = "../../../bin/tool"
        assert found({path: "aaa"}, {path: "bbb"}) == {path: ["first", "second"]}

    def test_is_a_path_that_differs_in_capitals_alone(self, found):
        assert found({"pkg/Name.py": "aaa"}, {"pkg/name.py": "bbb"}) == {
            "pkg/name.py": ["first", "second"]
        }

    def test_is_no_file_that_is_compiled_on_this_machine(self, found):
        assert found({"one.pyc": ""}, {"one.pyc": ""}) == {}


class TestProblems:
    SHARED = {"pkg/__init__.py": ["first", "second"], "tests/one.py": ["first", "third"]}

    def test_names_each_path_that_nobody_settled(self):
        (line,) = wheels.problems(self.SHARED, {"pkg/__init__.py": "nobody imports it"})
        assert line.startswith("tests/one.py is brought by first and by third")

    def test_names_a_settlement_that_is_not_needed(self):
        (line,) = wheels.problems({}, {"pkg/__init__.py": "nobody imports it"})
        assert line.startswith("pkg/__init__.py is settled in tests/wheels.py, but no two wheels")

    def test_names_nothing_where_all_is_settled(self):
        assert wheels.problems(self.SHARED, dict.fromkeys(self.SHARED, "why")) == []


def test_a_lock_names_what_this_machine_needs():
    lock = """# made by uv
first==1.0 \\
    --hash=sha256:aa
second==2.0 ; python_full_version >= '3.11' \\
    --hash=sha256:bb
third-one==3.0 ; sys_platform == 'nowhere' \\
    --hash=sha256:cc
    # via first==1.0
"""
    assert wheels.locked(lock) == ["first", "second"]


def test_a_package_that_is_missing_is_named(tmp_path):
    install(tmp_path, "first")
    with pytest.raises(PackageNotFoundError, match="second"):
        wheels.installed(["first", "second"], [str(tmp_path)])


def test_the_command_fails_where_a_path_is_not_settled(tmp_path, monkeypatch, capsys):
    install(tmp_path, "first", {"pkg/__init__.py": "aaa"})
    install(tmp_path, "second", {"pkg/__init__.py": "bbb"})
    (tmp_path / "lock").write_text("first==1.0 \\\nsecond==1.0 \\\n")
    monkeypatch.setattr(wheels, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(wheels, "SETTLED", {})
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert wheels.main() == 1
    assert "pkg/__init__.py is brought by first and by second" in capsys.readouterr().out
    monkeypatch.setattr(wheels, "SETTLED", {"pkg/__init__.py": "nobody imports it"})
    assert wheels.main() == 0
    (tmp_path / "lock").write_text("third==1.0 \\\n")
    assert wheels.main() == 1
    assert "third of requirements.lock is not installed" in capsys.readouterr().out
