"""What can go wrong in the Cost Field. Each message says what to change.

CostFieldError
├── InvalidExamples       labelled data that nothing can be learned or measured from
│   ├── TooFewProblems    the data is sound but small; the message says how many problems are needed
│   └── DamagedShard      a stored shard is missing, truncated or altered
├── InvalidRecipe         a recipe that contradicts itself once the data's widths are known
├── FingerprintMismatch   data, field or service were made from different fingerprints
├── InvalidFingerprint    what a field was asked to cost has a wrong shape, a NaN, or lacks a needed feature
├── InvalidField          an artifact that cannot be trusted: missing, altered, or of another schema
├── LeakedProblems        a problem (or its near-duplicate) stands on both sides of a split
└── GateFailed            a trained field broke a rule that no honest field breaks; nothing is saved
"""


class CostFieldError(Exception):
    """Base of everything that `costfield` raises on purpose."""


class InvalidExamples(CostFieldError, ValueError):
    """Labelled data that nothing can be learned or measured from."""


class TooFewProblems(InvalidExamples):
    """Sound data, but too little of it."""


class DamagedShard(InvalidExamples):
    """A stored shard is missing, truncated or altered."""


class InvalidRecipe(CostFieldError, ValueError):
    """A recipe that contradicts itself once the data's widths are known."""


class FingerprintMismatch(CostFieldError):
    """Two things that must share one kind of fingerprint do not."""


class InvalidFingerprint(CostFieldError, ValueError):
    """A set of siblings that cannot be costed."""


class InvalidField(CostFieldError):
    """A saved field that is missing, altered, or written by another schema."""


class LeakedProblems(CostFieldError):
    """A problem, or a near-duplicate of it, is on both sides of a split."""


class GateFailed(CostFieldError):
    """A gate of the training command failed: the field must not be used."""
