"""What the names of an assert script mean, at one point of it."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass, field
from typing import Any

from sandbox.script import is_foreign_import, star_names

MAX_LOOKED_AT = 50_000


class NotPure(Exception):
    """The script needs the program in a way that cannot be taken apart. The message says where."""


def stand_in(index: int) -> str:
    """The name of a guest's value in a host expression. No script can have such a name."""
    return f"<{index}>"


def is_stand_in(name: str) -> bool:
    """Whether a name is one that `stand_in` makes."""
    return name.startswith("<") and name[1:-1].isdigit()


def holds_part(values: list[Any], part: Any) -> bool:
    """Whether `part`, the very object, is one of `values` or inside one."""
    todo, seen = list(values), 0
    while todo and seen < MAX_LOOKED_AT:
        value, seen = todo.pop(), seen + 1
        if value is part:
            return True
        if isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, list | tuple):
            todo.extend(value)
    return bool(todo)


def hold_parts_of_each_other(some: list[Any], others: list[Any]) -> bool:
    """Whether a container among `some` is one among `others`, or inside one, or the other way round."""
    kinds = (list, dict, set, bytearray, tuple)
    known, changed = ([value for value in values if isinstance(value, kinds)] for values in (some, others))
    return bool(known) and any(
        holds_part(known, value) or any(holds_part([value], one) for one in known) for value in changed
    )


@dataclass
class Names:
    """What the names of a script mean at one point of it. A name in none of these is the program's, or built in."""

    host: dict[str, Any] = field(default_factory=dict)
    """Names whose value is known here."""
    owned: dict[str, str] = field(default_factory=dict)
    """Names that live in the guest: "value" where plain data is to be expected, else "object"."""
    alias: dict[str, ast.expr] = field(default_factory=dict)
    """Names that stand for a name of the program, such as the parameter of ``check(candidate)``."""
    modules: dict[str, str] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    """Names that cannot be followed, such as what ``as error`` binds."""

    hidden: set[str] = field(default_factory=set)
    """Names that must not be bound anew: a scope around this one still needs what the guest knows by them."""

    def scope(self, held: set[str]) -> Names:
        """The names inside a scope of its own at this point; `held` are names that it must not hide."""
        made = Names(**{name: copy.copy(part) for name, part in vars(self).items()})
        made.hidden |= held
        return made

    def forget(self, name: str) -> None:
        """The name is about to be bound anew. Raises NotPure."""
        if name in self.hidden:
            raise NotPure(f"{name} means two things at a time")
        for part in (self.host, self.owned, self.alias, self.modules, self.imports, self.functions):
            part.pop(name, None)
        self.closed.discard(name)

    def bind_import(self, statement: ast.Import) -> None:
        """Bind what an import statement binds."""
        for alias in statement.names:
            name = alias.asname or alias.name.split(".")[0]
            self.forget(name)
            self.modules[name] = alias.name if alias.asname else name
            if not is_foreign_import(statement):
                self.imports[name] = f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")

    def bind_import_from(self, statement: ast.ImportFrom) -> None:
        """Names of the standard library; what is imported from anywhere else is taken to be the program's."""
        module = statement.module or ""
        if module == "__future__":
            return
        foreign = is_foreign_import(statement)
        for alias in statement.names:
            if alias.name == "*":
                self._star(module, foreign)
                continue
            name = alias.asname or alias.name
            self.forget(name)
            if not foreign:
                self.modules[name] = f"{module}.{alias.name}"
                self.imports[name] = f"from {module} import {alias.name} as {name}"
            elif alias.asname:
                self.alias[name] = ast.Name(id=alias.name, ctx=ast.Load())

    def _star(self, module: str, foreign: bool) -> None:
        """``from module import *``: of the program, or of a module that is harmless to look into."""
        if foreign:
            return
        if not star_names(module):
            raise NotPure(f"from {module} import *")
        for name in star_names(module):
            self.forget(name)
            self.modules[name] = f"{module}.{name}"
            self.imports[name] = f"from {module} import {name}"
