"""Every error that a user can cause or meet, in one tree. A message names what was wrong and what to do next.

Not here: how an error is shown. `web.errors` turns a family into an HTTP status, `recommender.cli` into one line.
"""

from __future__ import annotations

from collections.abc import Mapping


class SokkuriError(Exception):
    """The root: anything that is reported as one sentence and not as a traceback."""


class InvalidImage(SokkuriError):
    """The bytes offered as a picture cannot be used.

    `needs` names what would have to be different of the limits (`images.Limits`) for them to be used, where that is
    what they offend.
    """

    def __init__(self, message: str, **needs: int) -> None:
        super().__init__(message)
        self.needs = needs


class Unreadable(InvalidImage):
    """The bytes are empty, damaged or cut off."""


class UnsupportedFormat(InvalidImage):
    """The bytes are something other than a supported picture format."""


class TooLarge(InvalidImage):
    """The picture has more bytes or pixels than the limits allow."""


class TooSmall(InvalidImage):
    """The picture has too few pixels to tell anything from."""


class ModelError(SokkuriError):
    """The model cannot be had or does not fit."""


class WeightsMissing(ModelError):
    """The weights are not where they were looked for, or do not fit the network."""


class LabelMismatch(ModelError):
    """A model's labels are not those that were expected."""


class EngineMissing(ModelError):
    """The software that runs the model is not installed."""


class ExportUnusable(ModelError):
    """An exported model was not made for this model, this engine or this processor, or does not say what it is."""


class SnapshotError(SokkuriError):
    """The published snapshot cannot be served."""


class NoSnapshot(SnapshotError):
    """Nothing was trained or indexed yet."""


class Corrupt(SnapshotError):
    """A stored artefact is damaged: its checksum, size or content is not what was written."""


class CatalogueVersion(SnapshotError):
    """The catalogue is missing, or its tables are those of an older or a newer Sokkuri."""


class CatalogueLost(SnapshotError):
    """There is no catalogue, though models or snapshots lie there that one ought to know."""


class NoRoom(SnapshotError):
    """The catalogue cannot be written to, or be read safely, since the disk is full."""


class SpaceMismatch(SnapshotError):
    """Vectors of two different embedding spaces were about to meet."""


class NotFound(SokkuriError):
    """There is no such show, character, picture, model or snapshot."""


class UnknownLibrary(SokkuriError):
    """A folder was named over HTTP that this home never looked through, or none can be told."""


class Conflict(SokkuriError):
    """What was asked for does not go with what is there: another job is at work, or this one has ended."""


class JobsUnusable(SokkuriError):
    """The file that jobs are kept in is damaged, cannot be written to, or was made by a newer Sokkuri."""


class InvalidQuery(SokkuriError):
    """A parameter of a question has a value that makes no sense."""


class Busy(SokkuriError):
    """Too much work at once. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Abandoned(SokkuriError):
    """Nobody waits for the answer any more."""


class BuildError(SokkuriError):
    """A batch job cannot go on."""


class UnknownArtefacts(BuildError):
    """Models or snapshots lie there that the catalogue does not know: nobody can tell what they need."""


class BadLibrary(BuildError):
    """The folder of pictures is not a library, or a table in it is wrong."""


class BadSources(BuildError):
    """The list of sources to collect from is wrong."""


class FetchRefused(BuildError):
    """An address may not be fetched, or not kept. `rule` names the rule that says so, in a few words.

    Where it is one of the limits of a picture that says so, `needs` is what would do, as `InvalidImage.needs`.
    """

    def __init__(self, rule: str, message: str, needs: Mapping[str, int] | None = None) -> None:
        super().__init__(message)
        self.rule, self.needs = rule, needs or {}


class FetchFailed(BuildError):
    """An address could not be fetched. `why` names the kind of failure, in a few words."""

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message)
        self.why = why


class NoNetwork(BuildError):
    """No host can be reached at all, or none may be: all that was needed lies at private addresses."""


class FidelityTooLow(BuildError):
    """An exported model differs too much from the model that it came from."""


class SettingError(SokkuriError):
    """A setting has a value that makes no sense."""
