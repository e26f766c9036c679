"""MultiPL-E's published format (Cassano et al. 2022, arXiv 2208.08227), for the languages that a sandbox has.

Fields: `name`, `language`, `prompt` (the begin of a file, up to the function's opening brace), `tests` (the rest of a
file that asserts). MultiPL-E runs program and asserts in one process and looks at the exit status, which a program can
forge. Here the asserts are taken apart: a driver behind the program prints what each call gives, and what it should
print is printed by a program of its own, out of the expected values alone. The host compares the two texts.

Whatever else a program prints is thrown away. A problem whose asserts have another form is excluded by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from atlas.evals.datasets.files import Content
from atlas.evals.problems import Excluded, Problem
from atlas.types import Language, Limits, Program, Task

UNPRINTABLE = re.compile(r"\bUnion_|\bstd::any\b")
LIMITS = Limits(cpu_s=15.0, wall_s=15.0, memory_mb=1024)
"""MultiPL-E gives a program 15 s; the C++ compiler's time and memory are in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assert:
    """One assert taken apart: the call's arguments and the expected value, as the language writes them."""

    arguments: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one language asserts, and how values are printed in it.

    `line` matches one assert up to the call's opening parenthesis; `parts` takes the rest of it apart.
    `harness` makes what a program stands between out of (function, arguments of each call); `answers` makes the program
    that prints the expected values.
    """

    language: Language
    line: re.Pattern[str]
    parts: Callable[[str], Assert]
    harness: Callable[[str, list[str]], tuple[str, str]]
    answers: Callable[[str, list[str]], str]


class OtherForm(ValueError):
    """An assert is not of the form that MultiPL-E's translators write."""


def parse(content: Content) -> tuple[list[Problem], list[Excluded]]:
    """Every problem of one language. Raises ConfigError where a record is not of the published format."""
    made = [_problem(content, number, row) for number, row in content.rows()]
    return [one for one in made if isinstance(one, Problem)], [one for one in made if isinstance(one, Excluded)]


def _problem(content: Content, number: int, row: dict[str, Any]) -> Problem | Excluded:
    name, language, prompt, tests = (
        content.field(number, row, field, str) for field in ("name", "language", "prompt", "tests")
    )
    id_ = f"multipl-e-{language}/{name}"
    dialect, function = DIALECTS.get(language), _function(tests)
    if dialect is None:
        return Excluded(id=id_, reason=f"no sandbox runs {language}")
    if UNPRINTABLE.search(prompt.rstrip().splitlines()[-1]):
        return Excluded(id=id_, reason="its function returns a value of several types, which cannot be printed")
    if function is None:
        return Excluded(id=id_, reason="its tests name no candidate")
    try:
        starts = [(line, dialect.line.match(line)) for line in tests.splitlines()]
        asserts = [dialect.parts(line[found.end() :]) for line, found in starts if found]
    except OtherForm as error:
        return Excluded(id=id_, reason=f"one of its asserts has another form: {error}")
    if not asserts or len(asserts) != len(re.findall(r"candidate\s*\(|\$\(candidate\b", tests)) - (language == "sh"):
        return Excluded(id=id_, reason="its tests are not one assert for each call")
    fence = {"js": "javascript", "sh": "bash"}.get(language, language)
    return Problem(
        task=Task(
            id=id_, prompt=f"Complete this function.\n\n```{fence}\n{prompt.rstrip()}\n```", entry_point=function,
            language=dialect.language, limits=LIMITS,
        ),
        hidden=(),
        dataset=f"multipl-e-{language}",
        harness=dialect.harness(function, [one.arguments for one in asserts]),
        frame=(prompt, "\n}\n" if tests.startswith("}") else "\n"),
        expected=Program(
            source=dialect.answers(prompt, [one.expected for one in asserts]), language=dialect.language
        ),
    )


def _function(tests: str) -> str | None:
    found = re.search(r"candidate\s*=\s*(\w+)\s*;|candidate\(\)\s*\{\s*(\w+) ", tests)
    return None if found is None else found[1] or found[2]


def _closing(text: str) -> int:
    """Where the parenthesis closes that is open at the begin of `text`; quotes and escapes are minded."""
    depth, quote, at = 1, "", 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "\"'`":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    raise OtherForm(text[:60])


def _split(text: str, between: str, behind: str) -> Assert:
    """`arguments) between expected behind`, where `text` begins after the call's opening parenthesis."""
    end = _closing(text)
    rest = text[end + 1 :].strip()
    if not rest.startswith(between) or not rest.endswith(behind):
        raise OtherForm(text[:60])
    return Assert(arguments=text[:end], expected=rest.removeprefix(between).removesuffix(behind).strip())


JS_BEFORE = "const _atlas_write = process.stdout.write.bind(process.stdout);\nprocess.stdout.write = () => true;\n"
JS_SHOW = """
const _atlas_show = value => JSON.stringify(value === undefined ? null : value, (key, part) => {
  if (typeof part === "bigint") return Number(part);
  if (typeof part === "number" && !Number.isFinite(part)) return String(part);
  if (part && typeof part === "object" && !Array.isArray(part))
    return Object.fromEntries(Object.entries(part).sort(([one], [other]) => one < other ? -1 : 1));
  return part;
});
"""


def _js_harness(function: str, calls: list[str]) -> tuple[str, str]:
    shown = "".join(f'_atlas_lines.push(_atlas_show({function}({arguments})));\n' for arguments in calls)
    told = "_atlas_write(_atlas_lines.join('\\n') + '\\n');"
    return JS_BEFORE, f"\n;{{\n{JS_SHOW}const _atlas_lines = [];\n{shown}{told}\n}}\n"


def _js_answers(prompt: str, expected: list[str]) -> str:
    return JS_SHOW + "".join(f"console.log(_atlas_show({value}));\n" for value in expected)


def _sh_parts(text: str) -> Assert:
    end = _closing(text)
    found = re.fullmatch(r"\s*=\s*(.+?)\s*\]\]", text[end + 1 :])
    if found is None:
        raise OtherForm(text[:60])
    return Assert(arguments=text[:end].strip(), expected=found[1])


def _sh_harness(function: str, calls: list[str]) -> tuple[str, str]:
    shown = "".join(f"printf '<%s>\\n' \"$({function} {arguments})\" >&3\n" for arguments in calls)
    return "exec 3>&1 1>/dev/null\n", f"\n{shown}exit 0\n"


def _sh_answers(prompt: str, expected: list[str]) -> str:
    return "".join(f"printf '<%s>\\n' {value}\n" for value in expected)


CPP_SHOW = """
#include <bits/stdc++.h>
#include <unistd.h>
#include <fcntl.h>
namespace shown {
using std::string;
inline string show(bool v) { return v ? "true" : "false"; }
inline string show(const string& v) { return "'" + v + "'"; }
inline string show(const char* v) { return show(string(v)); }
inline string show(char v) { return show(string(1, v)); }
template <class T> std::enable_if_t<std::is_integral_v<T>, string> show(const T& v) { return std::to_string(v); }
template <class T> std::enable_if_t<std::is_floating_point_v<T>, string> show(const T& v) {
  std::ostringstream out; out << std::setprecision(9) << (v == 0 ? 0.0 : double(float(v))); return out.str();
}
template <class T> string show(const std::optional<T>& v);
template <class A, class B> string show(const std::pair<A, B>& v);
template <class... T> string show(const std::tuple<T...>& v);
template <class A, class B> string show(const std::map<A, B>& v);
inline string show(const std::nullopt_t&) { return "none"; }
template <class T> string show(const std::vector<T>& v) {
  string all; for (const auto& part : v) all += show(static_cast<const T&>(part)) + ","; return "[" + all + "]";
}
template <class T> string show(const std::optional<T>& v) { return v ? show(*v) : "none"; }
template <class A, class B> string show(const std::pair<A, B>& v) {
  return "(" + show(v.first) + "," + show(v.second) + ")";
}
template <class... T> string show(const std::tuple<T...>& v) {
  string all; std::apply([&](const auto&... part) { ((all += show(part) + ","), ...); }, v); return "(" + all + ")";
}
template <class A, class B> string show(const std::map<A, B>& v) {
  string all; for (const auto& part : v) all += show(part) + ","; return "{" + all + "}";
}
}
"""


def _cpp_harness(function: str, calls: list[str]) -> tuple[str, str]:
    shown = "".join(f"  lines += shown::show({function}({arguments})) + \"\\n\";\n" for arguments in calls)
    main = (
        "int main() {\n  int out = dup(1), null = open(\"/dev/null\", O_WRONLY);\n  dup2(null, 1);\n"
        f"  std::string lines;\n{shown}"
        "  fflush(stdout); std::cout.flush(); dup2(out, 1);\n"
        "  std::cout.clear(); std::cout << lines; std::cout.flush(); fflush(stdout); _exit(0);\n}\n"
    )
    # A program may bring a main of its own; it gets another name.
    return "#define main _their_main\n", f"\n#undef main\n{CPP_SHOW}{main}"


def _cpp_answers(prompt: str, expected: list[str]) -> str:
    shown = "".join(f"  std::cout << shown::show({value}) << \"\\n\";\n" for value in expected)
    return f"{CPP_SHOW}int main() {{\n{shown}}}\n"


DIALECTS = {
    "js": Dialect(
        language="javascript", line=re.compile(r"\s*assert\.deepEqual\(candidate\("),
        parts=lambda text: _split(text, ",", ");"), harness=_js_harness, answers=_js_answers,
    ),
    "cpp": Dialect(
        language="cpp", line=re.compile(r"\s*assert\(candidate\("), parts=lambda text: _split(text, "==", ");"),
        harness=_cpp_harness, answers=_cpp_answers,
    ),
    "sh": Dialect(
        language="bash", line=re.compile(r"\s*\[\[ \$\(candidate"), parts=_sh_parts, harness=_sh_harness,
        answers=_sh_answers,
    ),
}
