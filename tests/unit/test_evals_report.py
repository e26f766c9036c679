"""The report's page: whole, the same each time, and safe to open however hostile the programs in it are."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from atlas.errors import ConfigError
from atlas.evals.report import charts
from atlas.evals.report.changes import Line, changes
from atlas.evals.report.page import render, worst_picks, write_report
from tests.support.evals import finished_run, rows_of
from tests.support.reports import HOSTILE, POOL, hostile_rows, with_loop

VOID = {"meta", "link", "img", "br"}


class Tags(HTMLParser):
    """Every element and its attributes; knows whether each is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_hostile_program_stays_text(tmp_path: Path) -> None:
    folder, other = tmp_path / "run", tmp_path / "other"
    finished_run(folder, hostile_rows(), model=HOSTILE)
    with_loop(folder, ranker=HOSTILE)
    finished_run(other, {name: [(-c, p, right) for c, p, right in own] for name, own in POOL.items()})
    page = render(folder, str(other))
    tags = Tags(page)
    names = {tag for tag, _ in tags.seen}
    assert not names & {"script", "img", "iframe", "object", "form", "base"}
    assert not tags.open, "every element is closed"
    for tag, attributes in tags.seen:
        assert not any(name.startswith("on") or name in ("style", "src", "action") for name in attributes), tag
        assert attributes.get("href") in (None, "data:,")
    text = "".join(tags.text)
    assert "<script>alert(1)</script>" in text and "{{ 7 * 7 }}" in text, "shown as what it is"
    assert not re.search("[\u202e\x1b\x00]", page), "nothing that fools a reader"


def test_the_page_asks_for_nothing_and_its_policy_allows_its_own_style_only(tmp_path: Path) -> None:
    finished_run(tmp_path, POOL)
    page = render(tmp_path)
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL)
    assert style is not None and "url(" not in style[1] and "@import" not in style[1]
    sha256 = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = next(a["content"] for tag, a in Tags(page).seen if tag == "meta" and "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'") and f"'sha256-{sha256}'" in policy
    assert not re.search(r"https?://", page)


def test_the_page_shows_the_figures_and_where_they_come_from(tmp_path: Path) -> None:
    found = finished_run(
        tmp_path, POOL, model="fake-1b", quantisation="Q4_K_M", fingerprint_id="fp-1", cost_field="c0ffee",
        engine="llama.cpp", atlas="0.1.0", python="3.11", numpy="2.0", machine="Linux",
    )
    text = re.sub(r"\s+", " ", "".join(Tags(render(tmp_path)).text))
    one = found.rankers["own"]
    assert one.selection is not None
    for figure in (one.pass_at_1, one.selection):
        assert f"{figure.value:.3f}" in text and f"[{figure.low:.3f}, {figure.high:.3f}], n {figure.n}" in text
    for fact in ("fake-1b", "Q4_K_M", "fp-1", "c0ffee", "llama.cpp", "docker", "temperature 0.8", "prompt version"):
        assert fact in text
    for name in ("results.json", "candidates.parquet", "problems.parquet"):
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() in text


def test_what_the_loop_took_is_shown_where_it_was_played(tmp_path: Path) -> None:
    finished_run(tmp_path, POOL)
    assert "seconds per solved" not in render(tmp_path)
    found = with_loop(tmp_path)
    assert found.seconds_per_solved is not None and found.seconds_per_solved.value == 2.25
    text = re.sub(r"\s+", " ", "".join(Tags(render(tmp_path)).text))
    row = text.split(found.setup.name)[1]
    assert row.startswith(" n 3Cost Field ") and "3 rounds of 4, 8 runs, 200000 tokens, 120 s" in row
    figures = (found.solved, found.handed_out_wrong), (found.rounds, found.sandbox_runs), (found.tokens_per_solved,)
    for digits, ones in zip((3, 2, 0), figures, strict=True):
        for one in ones:
            assert one and f"{one.value:.{digits}f} [{one.low:.{digits}f}, {one.high:.{digits}f}]" in row
    assert "2.25 [" in row and "25%" in row and "3 verified; docker, seed 0" in text and "1 left undone" in text
    with_loop(tmp_path, solved=(False,))
    assert not Tags(render(tmp_path)).open and "–" in render(tmp_path), "nothing solved, nothing to divide by"


def test_the_same_files_give_the_same_page(tmp_path: Path) -> None:
    finished_run(tmp_path, POOL)
    path = write_report(tmp_path)
    assert path == tmp_path / "report.html"
    first = path.read_bytes()
    assert write_report(tmp_path).read_bytes() == first == render(tmp_path).encode()


@pytest.mark.parametrize(
    "pool", [{"p": []}, {"p": [(0.1, 0.5, True)]}, {"p": [(0.1, float("nan"), False), (0.1, float("nan"), True)]}]
)
def test_a_small_run_has_a_page_too(tmp_path: Path, pool: dict[str, list[tuple[float, float, bool]]]) -> None:
    """Without a candidate, without a mixed problem, without a probability."""
    finished_run(tmp_path, pool)
    tags = Tags(render(tmp_path, f"{tmp_path}:random"))
    assert not tags.open and not re.search(r"\b(nan|inf|None|Undefined)\b", "".join(tags.text))


def test_a_run_that_is_not_finished_has_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no results\.json"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_the_worst_choices_are_the_surest_mistakes() -> None:
    found = worst_picks(rows_of(POOL), "own")
    assert [(one.problem, one.said) for one in found] == [("p", 0.9), ("q", 0.6)]
    assert found[1].lines == [
        Line("same", "def q():"), Line("minus", "    return 0"), Line("plus", "    return 2"),
    ], "from what was chosen to the cheapest that is right"
    assert [(one.problem, one.said) for one in worst_picks(rows_of(POOL), "random")] == [("p", None), ("q", None)]


def test_changes_name_the_lines_of_each_program() -> None:
    same = "\n".join("abcdefghijklmnop")
    found = changes(f"x\n{same}\ny", f"X\n{same}\nY")
    assert [line for line in found if line.kind != "same"] == [
        Line("minus", "x"), Line("plus", "X"), Line("gap", "…"), Line("minus", "y"), Line("plus", "Y"),
    ]
    assert changes("a\nb", "a\nb") == [Line("same", "a"), Line("same", "b")]
    assert changes("", "a") == [Line("plus", "a")]
    assert changes("", "") == []


def test_changes_of_endless_programs_are_cut_and_say_so() -> None:
    found = changes("x" * 10_000, "\n".join(f"line {i}" for i in range(5_000)))
    assert len(found) == 161 and found[-1].kind == "gap" and "more lines are not shown" in found[-1].text
    assert len(found[0].text) == 301


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, ["0%", "20%", "40%", "60%", "80%", "100%"]),
        (0.41, 0.58, ["40%", "45%", "50%", "55%", "60%"]),
        (0.5, 0.5, ["50%", "51%"]),
        (0.0, 0.0, ["0%", "1%"]),
        (1.0, 1.0, ["99%", "100%"]),
    ],
)
def test_ticks_are_round_and_hold_the_data(low: float, high: float, expected: list[str]) -> None:
    first, last, step = charts.share_axis(low, high)
    assert [text for _, text in charts.ticks(first, last, step)] == expected
    assert first <= low + 1e-9 and high <= last + 1e-9 and last <= 1 + 1e-9
