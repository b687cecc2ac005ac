"""Groups of roles: each has its name in apps/accounts/roles.py, and no app spells one out."""

import ast
from collections.abc import Iterator
from pathlib import Path

from apps.accounts import roles
from apps.accounts.models import Role

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "apps" / "accounts"
LISTS = (ast.Tuple, ast.List, ast.Set, ast.Call)


def modules() -> Iterator[Path]:
    for folder in ("apps", "portal", "worker"):
        for path in (ROOT / folder).rglob("*.py"):
            if HOME not in path.parents and "migrations" not in path.parts:
                yield path


def named(node: ast.expr) -> bool:
    """Tell whether an expression is one role, as `Role.AUDITOR` or as its text."""
    if isinstance(node, ast.Constant):
        return node.value in Role.values
    owner = node.value if isinstance(node, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id == "Role"


def spelled_out(source: str) -> list[int]:
    """Return the lines on which two roles or more stand in one list."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, LISTS):
            items = node.args if isinstance(node, ast.Call) else node.elts
            if sum(named(item) for item in items) > 1:
                found.append(node.lineno)
    return found


class TestSpelledOut:
    def test_is_no_group_of_roles_in_any_app(self):
        found = [
            f"{path.relative_to(ROOT)}:{line}"
            for path in modules()
            for line in spelled_out(path.read_text())
        ]
        assert not found, "give the group a name in apps/accounts/roles.py"

    def test_sees_a_group_however_it_is_written(self):
        for written in (
            "READERS = ('AUDITOR', 'FINANCE')",
            "READERS = [Role.AUDITOR, Role.FINANCE]",
            "user.has_role(Role.AUDITOR, Role.FINANCE)",
        ):
            assert spelled_out(written) == [1], written
        assert spelled_out("user.has_role(Role.AUDITOR)") == []


class TestGroups:
    def test_hold_roles_once_each(self):
        named = {name: group for name, group in vars(roles).items() if name.isupper()}
        groups = {name: group for name, group in named.items() if isinstance(group[0], str)}
        assert len(groups) > 10
        for name, group in groups.items():
            assert set(group) <= set(Role.values), name
            assert len(set(group)) == len(group), name

    def test_are_each_told_in_the_access_report(self):
        told = [set(one.roles) for one in roles.ABILITIES]
        told += [set(part) for duty in roles.DUTIES for part in (duty.asks, duty.decides)]
        named = {name: group for name, group in vars(roles).items() if name.isupper()}
        for name, group in named.items():
            if isinstance(group[0], str) and name not in ("EVERYBODY", "MENDS_MODELS"):
                assert any(set(group) <= one for one in told), name

    def test_let_everybody_who_decides_about_capacity_see_it(self):
        assert set(roles.DECIDES_CAPACITY) <= set(roles.SEES_CAPACITY)
        assert set(roles.SEES_FLEET) <= set(roles.SEES_CAPACITY)
