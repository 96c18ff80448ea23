"""Words: every error this package raises on purpose, and what mends it.

::

    RagpersoError(stage, hint)
    |-- ConfigError
    |   `-- MissingExtra            (also ImportError)
    |-- WorkspaceError
    |   |-- UnknownUser
    |   |-- WorkspaceLocked
    |   `-- SchemaTooNew
    |-- IngestError
    |   |-- UnreadableDocument
    |   `-- UnsupportedFormat
    |-- IndexStateError
    |   |-- StaleIndex
    |   |-- CorruptIndex
    |   `-- DimensionMismatch
    |-- AssembleError
    |   `-- BudgetTooSmall
    |-- GenerateError
    |   |-- ModelUnavailable
    |   |-- GenerationTimeout
    |   |-- GenerationCancelled
    |   `-- ContextOverflow
    |-- LearnError
    |   |-- NotEnoughData
    |   `-- AdapterMismatch
    `-- PrivacyError
        `-- ConsentRequired

Caller bugs stay ``ValueError`` and ``TypeError``.  Text of a person never enters a message: name ids,
paths and counts instead.  Exit codes and HTTP statuses live in the surfaces.
"""

from __future__ import annotations


class RagpersoError(Exception):
    """Any failure the reader can do something about.

    ``stage`` is the verb of the flow that failed (``ingest`` ... ``learn``, or ``config``,
    ``workspace``, ``privacy``); ``hint`` is the command or edit that mends it, empty when there is none.
    """

    stage = "ragperso"

    def __init__(self, message: str, *, hint: str = "", stage: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if stage is not None:
            self.stage = stage

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else ""


class ConfigError(RagpersoError):
    """A setting is unknown, of the wrong type or out of range; the message names its path."""

    stage = "config"


class MissingExtra(ConfigError, ImportError):
    """An optional package is not installed; ``hint`` is the ``pip install`` that adds it."""

    def __init__(self, package: str, extra: str, *, stage: str | None = None) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed",
            hint=f"pip install 'ragperso[{extra}]'",
            stage=stage,
        )
        self.package = package
        self.extra = extra


class WorkspaceError(RagpersoError):
    """A person's folder cannot be used as it is."""

    stage = "workspace"


class UnknownUser(WorkspaceError):
    """No such person under this home; nothing is created by asking."""


class WorkspaceLocked(WorkspaceError):
    """Another process is writing to this person; wait or stop it."""


class SchemaTooNew(WorkspaceError):
    """The store was written by a newer ragperso; upgrade this one."""


class IngestError(RagpersoError):
    """Stage 1 could not take something in."""

    stage = "ingest"


class UnreadableDocument(IngestError):
    """One file is damaged, too large, encrypted or empty; the message says which and why."""


class UnsupportedFormat(IngestError):
    """No reader knows this kind of file."""


class IndexStateError(RagpersoError):
    """A derived index does not fit its store."""

    stage = "index"


class StaleIndex(IndexStateError):
    """The store holds vectors of another embedder than the one configured."""


class CorruptIndex(IndexStateError):
    """An index file fails its checksum or holds ids that the store does not know."""


class DimensionMismatch(IndexStateError):
    """Vectors of one width met an index of another."""

    def __init__(self, *, got: int, want: int) -> None:
        super().__init__(
            f"vectors have {got} dimensions where the index has {want}",
            hint="ragperso reindex",
        )
        self.got = got
        self.want = want


class AssembleError(RagpersoError):
    """Stage 4 could not build a prompt."""

    stage = "assemble"


class BudgetTooSmall(AssembleError):
    """Not even the fixed parts (system text and question) fit the token budget."""


class GenerateError(RagpersoError):
    """Stage 5 could not produce a completion."""

    stage = "generate"


class ModelUnavailable(GenerateError):
    """The model is not on this machine, fails its checksum, or its server does not answer."""


class GenerationTimeout(GenerateError):
    """The model took longer than ``generate.timeout_s``."""


class GenerationCancelled(GenerateError):
    """The caller asked to stop; ``partial`` holds what had been written."""

    def __init__(self, partial: str = "") -> None:
        super().__init__("generation was cancelled")
        self.partial = partial


class ContextOverflow(GenerateError):
    """Prompt plus requested completion exceed the model's context window."""


class LearnError(RagpersoError):
    """Stage 7 could not learn from what is there."""

    stage = "learn"


class NotEnoughData(LearnError):
    """Too little of the person's own writing to say anything."""


class AdapterMismatch(LearnError):
    """A LoRA adapter was made for another base model."""


class PrivacyError(RagpersoError):
    """An operation on personal data was refused."""

    stage = "privacy"


class ConsentRequired(PrivacyError):
    """The person has not agreed to this purpose."""
