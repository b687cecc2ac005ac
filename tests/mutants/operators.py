"""The small faults that are put into a module, one at a time, found in its syntax tree. Pure.

Left alone: docstrings, annotations and what they are made of, words for people (text with a space
in it, what is raised or logged), fields and options of classes (migrations made the database, so
nothing would follow), and `select_for_update` and its like, which only a race of two could tell.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}  # fmt: skip
QUERIES = {"filter", "exclude", "get", "update", "Q", "alias", "values", "order_by"}
LINKS = {"filter", "exclude", "distinct", "order_by", "pending", "active"}  # of a chain of calls
QUIET = {"debug", "info", "warning", "error", "exception", "require"}  # their texts are for people
SQL = re.compile(r"\b(SELECT|FROM|WHERE|SUM|ORDER BY)\b")
SQL_PARTS = {">=": ">", " <= ": " < ", " < ": " <= ", " > ": " >= ", " + ": " - ", " AND ": " OR "}


@dataclass(frozen=True)
class Mutant:
    """One fault. key names it wherever its lines move; owner: qualified name and first line of the
    function whose body holds it (None: it takes effect where the module is read).
    """

    module: str  # path below the project's root
    key: str
    line: int
    owner: tuple[str, int] | None
    number: int


@dataclass
class _Spot:
    """A place in the tree, and what may stand there instead."""

    holder: ast.AST
    field: str
    index: int | None
    new: Any
    scope: str
    owner: tuple[str, int] | None
    line: int
    statement: ast.AST

    def put(self) -> Any:
        """Put the fault in; return what stood there."""
        if self.index is None:
            old = getattr(self.holder, self.field)
            setattr(self.holder, self.field, self.new)
            return old
        items = getattr(self.holder, self.field)
        old = items[self.index]
        if self.new is None:
            del items[self.index]
        else:
            items[self.index] = self.new
        return old


def mutants(module: str, source: str, required: set[tuple[str, str]]) -> list[Mutant]:
    """Return every fault of a module. required: (function, keyword) that no call may leave out."""
    found, seen = [], Counter[str]()
    for number, spot in enumerate(_spots(ast.parse(source), required)):
        text = f"{spot.scope}: {_change(spot)}"
        seen[text] += 1
        key = text if seen[text] == 1 else f"{text} ({seen[text]})"
        found.append(Mutant(module, key, spot.line, spot.owner, number))
    return found


def mutated(mutant: Mutant, source: str, required: set[tuple[str, str]]) -> ast.Module:
    """Return the module's tree with this one fault in it."""
    tree = ast.parse(source)
    list(_spots(tree, required))[mutant.number].put()
    return ast.fix_missing_locations(tree)


def required_keywords(sources: Iterable[str]) -> set[tuple[str, str]]:
    """Return (name, keyword) of what some function or dataclass of that name cannot do without: a
    call that leaves it out breaks at once and tells nothing.
    """
    found = set()
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.FunctionDef):
            given = node.args.args[: len(node.args.args) - len(node.args.defaults)]
            keyword_only = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            names = [arg.arg for arg in given] + [a.arg for a, d in keyword_only if d is None]
            found |= {(node.name, name) for name in names}
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and line.value is None:
                    found.add((node.name, ast.unparse(line.target)))
    return found


# -- walking ---------------------------------------------------------------------------------------


def _spots(tree: ast.Module, required: set[tuple[str, str]]) -> list[_Spot]:
    walker = _Walker(required)
    walker.walk(tree, "", None, tree)
    return walker.spots


class _Walker:
    def __init__(self, required: set[tuple[str, str]]) -> None:
        self.required = required
        self.spots: list[_Spot] = []

    def walk(
        self, node: ast.AST, scope: str, owner: tuple[str, int] | None, around: ast.AST
    ) -> None:
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "type_comment"):
                continue
            inside_scope, inside_owner = _entered(node, field, scope, owner)
            statement = node if isinstance(node, ast.stmt) else around
            children = value if isinstance(value, list) else [value]
            for index, child in enumerate(children):
                if not isinstance(child, ast.AST) or _is_left_alone(node, child):
                    continue
                at = (node, field, index if isinstance(value, list) else None)
                for new in self.replacements(node, child, field):
                    line = getattr(child, "lineno", getattr(node, "lineno", 0))
                    within = (inside_scope or "module", inside_owner)
                    self.spots.append(_Spot(*at, new, *within, line, statement))
                self.walk(child, inside_scope, inside_owner, statement)

    def replacements(self, holder: ast.AST, node: ast.AST, field: str) -> Iterator[ast.AST | None]:
        """Yield what may stand in the place of `node`; None: nothing."""
        if isinstance(node, ast.stmt):
            yield from _statements(node)
        elif field == "decorator_list" and "atomic" in ast.unparse(node):
            yield None
        elif isinstance(node, ast.keyword) and isinstance(holder, ast.Call):
            if self._can_be_left_out(holder, node):
                yield None
        elif isinstance(node, ast.expr):
            if _is_query(holder) and field == "args":
                yield None
            if field in ("test", "ifs") and not _is_swapped(node):
                yield ast.UnaryOp(ast.Not(), node)
            yield from _decimals(node)
            yield from _expressions(node)

    def _can_be_left_out(self, call: ast.Call, keyword: ast.keyword) -> bool:
        if keyword.arg is None or isinstance(call.func, ast.Call):
            return False
        name = _name(call)
        if name == "select_for_update" or keyword.arg == "batch_size":
            return False
        return name in QUERIES or ((name, keyword.arg) not in self.required and name.islower())


def _entered(
    node: ast.AST, field: str, scope: str, owner: tuple[str, int] | None
) -> tuple[str, tuple[str, int] | None]:
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        return scope, owner
    inner = f"{scope}.{node.name}" if scope else node.name
    if owner is None and isinstance(node, ast.FunctionDef) and field == "body":
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        return inner, (inner, first)
    return inner, owner


def _is_left_alone(holder: ast.AST, child: ast.AST) -> bool:
    if isinstance(child, ast.Import | ast.ImportFrom) or _asserts(child):
        return True
    if isinstance(child, ast.JoinedStr) and any(
        isinstance(part, ast.Constant) and " " in part.value for part in child.values
    ):
        return True
    if isinstance(holder, ast.keyword) and holder.arg in ("batch_size", "skip_locked"):
        return True
    if _name(holder) == "Decimal" and isinstance(child, ast.Constant):
        return True  # _decimals gives it another value as a whole
    if isinstance(child, ast.FunctionDef) and child.name in ("__str__", "__repr__"):
        return True
    if isinstance(holder, ast.Module) and isinstance(child, ast.Assign) and _is_type(child.value):
        return True
    if isinstance(holder, ast.ClassDef) and not isinstance(child, ast.FunctionDef | ast.ClassDef):
        return True
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
        return True  # a docstring
    if isinstance(child, ast.Expr) and "select_for_update" in ast.unparse(child):
        return True  # a lock alone
    return isinstance(child, ast.Expr) and _name(child.value) in QUIET - {"require"}


def _is_type(value: ast.expr) -> bool:
    """Tell whether a value is a type: `Literal["a"]`, `A | None`, `TypeVar("A")`."""
    if isinstance(value, ast.BinOp):
        return isinstance(value.op, ast.BitOr) and all(
            isinstance(side, ast.Name) or ast.unparse(side) == "None" or _is_type(side)
            for side in (value.left, value.right)
        )
    if isinstance(value, ast.Subscript):
        return ast.unparse(value.value) in ("Literal", "Callable", "Mapping", "Sequence")
    return _name(value) == "TypeVar"


def _asserts(node: ast.AST) -> bool:
    """Tell whether this refuses what should never be: also what zip does with two lengths."""
    if isinstance(node, ast.keyword):
        return node.arg == "strict"
    return isinstance(node, ast.Raise | ast.Assert)


# -- what may stand there instead ------------------------------------------------------------------


def _statements(node: ast.stmt) -> Iterator[ast.stmt]:
    if _does_something(node):
        yield ast.copy_location(ast.Pass(), node)
    elif isinstance(node, ast.Return) and node.value is not None and not _is_empty(node.value):
        yield ast.copy_location(ast.Return(ast.Constant(None)), node)
    elif isinstance(node, ast.With) and "atomic" in ast.unparse(node.items[0].context_expr):
        yield ast.copy_location(ast.If(ast.Constant(True), node.body, []), node)


def _does_something(node: ast.stmt) -> bool:
    """Tell whether what follows can be read without this statement."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call | ast.Await)
    if isinstance(node, ast.Assign):
        return not isinstance(node.targets[0], ast.Name | ast.Tuple)
    return isinstance(node, ast.AugAssign | ast.Continue | ast.Break | ast.Delete)


def _expressions(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare) and len(node.ops) <= 2:
        for place, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                ops = [other() if at == place else op for at, op in enumerate(node.ops)]
                yield ast.Compare(node.left, ops, node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC and not _is_text(node):
        yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
    elif isinstance(node, ast.Constant):
        yield from (ast.copy_location(ast.Constant(value), node) for value in _constants(node))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        given = len(node.args) + len(node.keywords)
        if node.func.attr in LINKS and not (_is_query(node) and given == 1):
            yield node.func.value


def _constants(node: ast.Constant) -> Iterator[object]:
    value = node.value
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value * 2 if abs(value) > 1 else value + 1
    elif isinstance(value, str) and SQL.search(value):
        for part, other in SQL_PARTS.items():
            for match in re.finditer(re.escape(part), value):
                yield value[: match.start()] + other + value[match.end() :]
    elif isinstance(value, str) and value and " " not in value:
        yield f"{value}_"


def _decimals(node: ast.expr) -> Iterator[ast.Call]:
    """Yield another amount for `Decimal("0.01")`; text after it would be no number at all."""
    if not isinstance(node, ast.Call) or _name(node) != "Decimal":
        return
    for amount in node.args:
        if isinstance(amount, ast.Constant):
            value = Decimal(amount.value)
            other = ast.Constant(str(value * 2 if value else 1))
            yield ast.copy_location(ast.Call(node.func, [other], []), node)


def _is_query(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _name(node) in {"filter", "exclude"}


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def _is_empty(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (None, False)


def _is_swapped(node: ast.expr) -> bool:
    """Tell whether another fault turns this condition round already."""
    return (isinstance(node, ast.Compare) and len(node.ops) == 1) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    )


def _name(node: ast.AST) -> str:
    """Return what a call calls: the last name of it."""
    if not isinstance(node, ast.Call):
        return ""
    return ast.unparse(node.func).rpartition(".")[2]


# -- its words -------------------------------------------------------------------------------------

AROUND = 30  # characters kept before and after a change


def _change(spot: _Spot) -> str:
    """Return what becomes what, around the change."""
    before = _text(spot)
    old = spot.put()
    after = _text(spot)
    if spot.index is None:
        setattr(spot.holder, spot.field, old)
    elif spot.new is None:
        getattr(spot.holder, spot.field).insert(spot.index, old)
    else:
        getattr(spot.holder, spot.field)[spot.index] = old
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    first, last = max(0, start - AROUND), max(0, end - AROUND)
    return f"{before[first : len(before) - last]} → {after[first : len(after) - last]}"


def _text(spot: _Spot) -> str:
    """Return the source of what surrounds a spot: its statement, or a function's decorators."""
    value = getattr(spot.holder, spot.field)
    shown: Any = spot.statement
    if spot.field == "decorator_list":
        return " ".join(f"@{ast.unparse(item)}" for item in value) or "no decorator"
    if spot.index is not None and isinstance(value[0] if value else None, ast.stmt):
        shown = value[spot.index]
    return " ".join(ast.unparse(ast.fix_missing_locations(shown)).split())


def _common(one: str, other: str) -> int:
    same = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        same += 1
    return same
