"""What can be wrong with what a user gives us: every message names the value and the way out."""


class LowDoseError(Exception):
    """The user's input cannot be used as it is. The command line prints it and ends with code 2."""


class NotCT(LowDoseError):
    """The file or series is not CT in Hounsfield units."""


class CannotDecode(LowDoseError):
    """The pixels of a file are truncated, or compressed in a way no installed decoder reads."""


class NothingToRead(LowDoseError):
    """The input does not exist, is empty, or holds no readable CT image."""


class MixedSeries(LowDoseError):
    """The input holds several series and none was chosen."""


class GeometryMismatch(LowDoseError):
    """Two images that must lie on one grid do not."""


class UnsafeZip(LowDoseError):
    """A zip that would write outside its folder or unpack to an absurd size."""


class IncompatibleCheckpoint(LowDoseError):
    """A weights file that is damaged, of another kind, or not what its checksum says."""


class OutputRefused(LowDoseError):
    """The output cannot be written where it was asked for."""


class TrainingDiverged(LowDoseError):
    """A training whose loss is no longer a number."""


class InvalidSetting(LowDoseError):
    """A number or name on the command line or in a call that has no meaning."""


class IncompatiblePack(LowDoseError):
    """A packed slice store that is damaged, of another version, or put together from parts of several."""


class DownloadFailed(LowDoseError):
    """A public collection that cannot be fetched: no client, no network, or series that did not arrive whole."""
