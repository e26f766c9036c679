"""Labelled fingerprints in memory: what a field is trained on and measured on.

One row is one candidate that was run. Rows of one problem are *siblings*. Problems are split by `group`, so that a
problem and its near-duplicates stay on one side: splitting by row would let a field recognise problems instead of
programs (pooled AUROC .86 with no selection gain at all is what that looks like).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from costfield.errors import FingerprintMismatch, InvalidExamples, LeakedProblems, TooFewProblems

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Strings = npt.NDArray[np.str_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """n labelled candidates, as read-only columns. Use `Examples.of` to build one from looser input.

    A NaN in `scalars` means "this feature was not available for this candidate" and nothing else; every consumer
    must say what it does about it. Embeddings are always finite; `d` may be 0 (a server that gives no states).
    """

    fingerprint_id: str  # names model, quantisation, pooling, template and features; mixing two is refused
    embeddings: Floats  # (n, d)
    scalars: Floats  # (n, s); NaN = not available
    scalar_names: tuple[str, ...]  # s names
    passed: Bools  # (n,)
    problem: Strings  # (n,) which problem the candidate answers
    group: Strings  # (n,) near-duplicate problems share a group; splits happen here
    weight: Floats  # (n,) weight among siblings; each problem's sum is normalised to 1 in training
    index: Ints | None  # (n,) order of generation among siblings, from 0; None = not recorded
    fault: Strings | None  # (n,) outcome by name ("PASS", "TIMEOUT", …); None = not recorded

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_values(self)
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                frozen = value.view()
                frozen.flags.writeable = False
                object.__setattr__(self, field.name, frozen)

    @classmethod
    def of(
        cls,
        *,
        fingerprint_id: str,
        embeddings: npt.ArrayLike,
        scalars: npt.ArrayLike,
        scalar_names: Sequence[str],
        passed: npt.ArrayLike,
        problem: Sequence[str] | Strings,
        group: Sequence[str] | Strings | None = None,
        weight: npt.ArrayLike | None = None,
        index: npt.ArrayLike | None = None,
        fault: Sequence[str] | Strings | None = None,
    ) -> Examples:
        """Build `Examples` from array-likes. Without `group` each problem is its own; without `weight` rows are equal.

        Raises `InvalidExamples` for a wrong shape, a label that says neither yes nor no, a non-finite embedding, an
        infinite scalar, a problem in two groups.
        """
        problems = np.asarray(problem, dtype=np.str_)
        return cls(
            fingerprint_id=fingerprint_id,
            embeddings=np.ascontiguousarray(embeddings, dtype=np.float32),
            scalars=np.ascontiguousarray(scalars, dtype=np.float32),
            scalar_names=tuple(scalar_names),
            passed=_labels(passed),
            problem=problems,
            group=problems if group is None else np.asarray(group, dtype=np.str_),
            weight=np.ones(len(problems), np.float32) if weight is None else np.asarray(weight, dtype=np.float32),
            index=None if index is None else np.asarray(index, dtype=np.int64),
            fault=None if fault is None else np.asarray(fault, dtype=np.str_),
        )

    def __len__(self) -> int:
        return len(self.passed)

    @property
    def dims(self) -> int:
        """Length of one embedding; 0 when candidates carry scalars only."""
        return int(self.embeddings.shape[1])

    def codes(self) -> Ints:
        """(n,) problems as integers 0..q-1, in the sorted order of their ids."""
        return np.unique(self.problem, return_inverse=True)[1].astype(np.int64)

    def take(self, rows: Ints) -> Examples:
        """The given rows, in the given order."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        taken = {name: column[rows] for name, column in columns.items() if isinstance(column, np.ndarray)}
        return replace(self, **taken)  # type: ignore[arg-type]

    def column(self, name: str) -> Floats:
        """(n,) one scalar feature by name. Raises `InvalidExamples` when the data has no such column."""
        if name not in self.scalar_names:
            raise InvalidExamples(f"no scalar named {name!r}; the data has: {', '.join(self.scalar_names) or 'none'}")
        return self.scalars[:, self.scalar_names.index(name)]

    def with_scalars(self, names: Sequence[str]) -> Examples:
        """The same rows with these scalar columns only, in this order."""
        columns = [self.column(name) for name in names]
        scalars = np.stack(columns, axis=1) if columns else np.zeros((len(self), 0), np.float32)
        return replace(self, scalars=scalars, scalar_names=tuple(names))

    def digest(self) -> str:
        """sha256 of every column in row order: two data sets with one digest train one field."""
        sha = hashlib.sha256()
        for field in fields(self):
            value = getattr(self, field.name)
            sha.update(f"{field.name}\0".encode())
            if isinstance(value, np.ndarray) and value.dtype.kind == "U":
                sha.update("\0".join(value.tolist()).encode())
            elif isinstance(value, np.ndarray):
                sha.update(np.ascontiguousarray(value).tobytes())
            else:
                sha.update(repr(value).encode())
        return sha.hexdigest()


def _labels(passed: npt.ArrayLike) -> Bools:
    """(n,) booleans. Whatever is neither True (1) nor False (0) is refused: numpy would read NaN as a pass."""
    given = np.asarray(passed)
    known = np.isin(given, (0, 1)) if given.dtype.kind in "biuf" else np.zeros(given.shape, np.bool_)
    if not known.all():
        raise InvalidExamples(f"{int((~known).sum())} labels are neither True nor False; leave such rows out")
    return given.astype(np.bool_)


def _check_shapes(examples: Examples) -> None:
    n = len(examples.passed)
    if n == 0:
        raise InvalidExamples("no labelled candidates at all")
    if examples.embeddings.ndim != 2 or examples.scalars.ndim != 2:
        raise InvalidExamples("embeddings must be (n, d) and scalars (n, s); use shape (n, 0) for none")
    for field in fields(examples):
        value = getattr(examples, field.name)
        if isinstance(value, np.ndarray) and len(value) != n:
            raise InvalidExamples(f"{field.name} has {len(value)} rows, passed has {n}")
    if examples.scalars.shape[1] != len(examples.scalar_names):
        raise InvalidExamples(f"{examples.scalars.shape[1]} scalar columns but {len(examples.scalar_names)} names")
    if len(set(examples.scalar_names)) != len(examples.scalar_names):
        raise InvalidExamples(f"a scalar name is given twice: {', '.join(examples.scalar_names)}")
    if examples.dims == 0 and not examples.scalar_names:
        raise InvalidExamples("neither embeddings nor scalars: there is nothing to learn from")
    if not examples.fingerprint_id:
        raise InvalidExamples("fingerprint_id is empty; data must say which fingerprints it holds")


def _check_values(examples: Examples) -> None:
    finite = np.isfinite(examples.embeddings).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise InvalidExamples(
            f"{int((~finite).sum())} rows have a NaN or infinite embedding, the first is row {row} "
            f"(problem {str(examples.problem[row])!r}); leave such candidates out or embed them again"
        )
    if np.isinf(examples.scalars).any():
        column = int(np.argmax(np.isinf(examples.scalars).any(axis=0)))
        raise InvalidExamples(
            f"scalar {examples.scalar_names[column]!r} is infinite in places; NaN is for not available"
        )
    if not (np.isfinite(examples.weight).all() and (examples.weight > 0).all()):
        raise InvalidExamples("weights must be finite and above 0; leave out rows that should not count")
    pairs = np.unique(np.stack([examples.problem, examples.group], axis=1), axis=0)
    problems, counts = np.unique(pairs[:, 0], return_counts=True)
    if (counts > 1).any():
        raise InvalidExamples(f"problem {str(problems[np.argmax(counts)])!r} is in more than one group")


def concat(parts: Sequence[Examples]) -> Examples:
    """All rows of all parts. Raises `FingerprintMismatch` unless every part holds the same kind of fingerprint."""
    first = parts[0]
    for part in parts[1:]:
        if part.fingerprint_id != first.fingerprint_id:
            raise FingerprintMismatch(
                f"two kinds of fingerprint cannot be mixed: {first.fingerprint_id!r} and {part.fingerprint_id!r}"
            )
        if part.scalar_names != first.scalar_names or part.dims != first.dims:
            raise InvalidExamples("parts differ in their columns although they name the same fingerprint id")
    columns: dict[str, npt.NDArray[np.generic] | None] = {}
    for field in fields(first):
        values = [getattr(part, field.name) for part in parts]
        if all(isinstance(value, np.ndarray) for value in values):
            columns[field.name] = np.concatenate(values)
        elif any(isinstance(value, np.ndarray) for value in values):
            raise InvalidExamples(f"{field.name} is recorded in some parts and not in others")
    return replace(first, **columns)  # type: ignore[arg-type]


def mixed_problems(examples: Examples) -> Strings:
    """Ids of problems with both a right and a wrong candidate: the only ones that measure selection."""
    ids, codes = np.unique(examples.problem, return_inverse=True)
    passes = np.bincount(codes, weights=examples.passed)
    return ids[(passes > 0) & (passes < np.bincount(codes))]


def unavailable(examples: Examples) -> tuple[str, ...]:
    """Scalars that no candidate has: the server that made the fingerprints does not give them."""
    columns = zip(examples.scalar_names, examples.scalars.T, strict=True)
    return tuple(name for name, column in columns if np.isnan(column).all())


def require_trainable(examples: Examples, *, problems: int, mixed: int) -> None:
    """Refuse data with one class only, fewer than `problems` problems, or fewer than `mixed` mixed ones."""
    if examples.passed.all() or not examples.passed.any():
        kind = "passed" if examples.passed.all() else "failed"
        raise InvalidExamples(f"all {len(examples)} candidates {kind}; both right and wrong programs are needed")
    have = len(np.unique(examples.problem))
    if have < problems:
        raise TooFewProblems(f"{have} problems are too few: at least {problems} are needed, {problems - have} more")
    have_mixed = len(mixed_problems(examples))
    if have_mixed < mixed:
        raise TooFewProblems(
            f"{have_mixed} of {have} problems have both right and wrong candidates; at least {mixed} are needed. "
            "Label more problems, or sample more candidates at a higher temperature"
        )


def split(examples: Examples, fractions: Sequence[float], seed: int) -> tuple[Examples, ...]:
    """Parts of about these fractions of the problems, whole groups only, mixed problems spread evenly. Seeded.

    Raises `TooFewProblems` when a part would be empty.
    """
    parts = tuple(examples.take(rows) for rows in split_rows(examples, fractions, seed))
    require_disjoint(*parts)
    return parts


def split_rows(examples: Examples, fractions: Sequence[float], seed: int) -> tuple[Ints, ...]:
    """The row numbers of each part of `split`."""
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions must be above 0 and sum to 1, got {list(fractions)}")
    part_of_row = _deal(examples, fractions, seed)
    return tuple(np.flatnonzero(part_of_row == part) for part in range(len(fractions)))


def kfold(examples: Examples, folds: int, seed: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield (training rows, held-out rows) `folds` times; whole groups only; each row is held out exactly once."""
    if folds < 2:
        raise ValueError(f"cross-validation needs at least 2 folds, got {folds}")
    part_of_row = _deal(examples, [1 / folds] * folds, seed)
    for fold in range(folds):
        yield np.flatnonzero(part_of_row != fold), np.flatnonzero(part_of_row == fold)


def _deal(examples: Examples, fractions: Sequence[float], seed: int) -> Ints:
    """(n,) the part each row goes to: groups are shuffled, those with mixed problems first, and dealt like cards."""
    groups, group_of_row = np.unique(examples.group, return_inverse=True)
    problem_group = dict(zip(examples.problem.tolist(), group_of_row.tolist(), strict=True))
    size = np.bincount(list(problem_group.values()), minlength=len(groups))  # problems in each group
    is_mixed = np.zeros(len(groups), np.bool_)
    is_mixed[[problem_group[str(problem)] for problem in mixed_problems(examples)]] = True
    order = np.random.default_rng(seed).permutation(len(groups))
    order = order[np.argsort(~is_mixed[order], kind="stable")]

    share, dealt = np.asarray(fractions), np.zeros(len(fractions))
    part = np.zeros(len(groups), np.int64)
    for group in order:
        part[group] = np.argmax(share * (dealt.sum() + size[group]) - dealt)  # the part that is furthest behind
        dealt[part[group]] += size[group]
    if (dealt == 0).any():
        raise TooFewProblems(f"{len(groups)} groups of problems are too few for parts of {list(fractions)}")
    return part[group_of_row]


def require_disjoint(*parts: Examples) -> None:
    """Raise `LeakedProblems` when a problem or a group is in more than one part."""
    for what in ("problem", "group"):
        seen: set[str] = set()
        for part in parts:
            here = set(getattr(part, what).tolist())
            if shared := sorted(seen & here):
                raise LeakedProblems(
                    f"{len(shared)} {what}s are on both sides of a split, e.g. {', '.join(shared[:3])}; "
                    "split by problem, with near-duplicates in one group"
                )
            seen |= here
