"""Exceptions for unusable input; every message names the offending value and a way out."""


class LowDoseError(Exception):
    """Base class of all errors that input, settings or files can cause.

    Catch it to handle every such error in one place. The command line prints its message and exits with code 2.
    """


class NotCT(LowDoseError):
    """Input that is not CT in Hounsfield units.

    Usually another modality, a colour picture, a mask, a header without a usable rescale slope and intercept, or an
    array that holds NaN, infinity or no air. Give the reconstructed CT series itself. If the values of a NumPy array
    are HU, save them in an .npz file under the key "hu".
    """


class CannotDecode(LowDoseError):
    """File that cannot be read: not accessible, damaged, or compressed in a way that no installed decoder reads.

    Usually an interrupted copy or export, which leaves a truncated file. Copy or export the file again, make it
    readable, or decompress it first, for example with ``gdcmconv --raw``.
    """


class NothingToRead(LowDoseError):
    """Input that does not exist, is empty, or holds no readable CT image or no pair of series.

    Usually a mistyped path, or a folder that holds only other files. Check the path; the message tells what was found
    there and left out.
    """


class MixedSeries(LowDoseError):
    """Input that holds several CT series, of which none was chosen, or different images with one SOPInstanceUID.

    Usually the folder of a whole study. The message lists the series: choose one by its SeriesInstanceUID or the
    end of it (``--series`` on the command line), or give the folder of that series alone. Of two images with one UID,
    keep the right one.
    """


class GeometryMismatch(LowDoseError):
    """Images that must lie on one voxel grid, but do not.

    Usually two series with another matrix, pixel size, orientation or position, labels that were drawn on another
    series, or a series with missing or uneven slices that is needed as a volume. Give series of the same
    reconstruction, add the missing slices, or resample one image to the grid of the other.
    """


class UnsafeZip(LowDoseError):
    """Archive or compressed file that is refused because unpacking it could do harm.

    An entry would be written outside the target folder, is a link or encrypted, or the content unpacks to an absurd
    size. If you trust the file, unpack it yourself and give the folder.
    """


class IncompatibleCheckpoint(LowDoseError):
    """Weights file that is damaged, of another kind, or not the file that its checksum says.

    Usually a pickled checkpoint (only .safetensors files are loaded, because a pickle can run code), an incomplete
    copy, or weights for another network. Give the ``model.safetensors`` that ``lowdose train`` wrote, copy the file
    again, reinstall the package for shipped weights, or remove an added model and add it anew.
    """


class OutputRefused(LowDoseError):
    """Output that cannot be written where it was asked for.

    Usually the file or folder exists already, its name has the wrong ending, the disk is full, or writing is not
    permitted. Choose another name or make room. Nothing incomplete is left behind.
    """


class OutsideTrainingRange(LowDoseError):
    """Series outside the range that a model was trained on, which ``--strict`` refuses.

    Its noise, pixel size, slice thickness or orientation are not those of the training data, or are not known. Take a
    model that was trained on such series, state what the files do not (``--pixel``, ``--thickness``), or leave
    ``--strict`` out: the same words are then a warning.
    """


class TrainingDiverged(LowDoseError):
    """Training run whose loss is no longer a number, or whose model has collapsed.

    Usually the learning rate is too high. Resume from the last good state, or start again with a smaller
    ``learning_rate``; the message names further settings where they matter.
    """


class InvalidSetting(LowDoseError):
    """Number or name, on the command line or in a call, that is unknown or has no meaning.

    Usually a typing error or a value outside the allowed range. The message states what is allowed.
    """


class IncompatiblePack(LowDoseError):
    """Packed data set or noise bank that is damaged, of another version, or put together from parts of several.

    Usually an incomplete copy, or source images that changed after packing. Copy the whole folder again, pack the data
    again with ``lowdose data pack``, or remove a noise bank: it is built again.
    """


class DownloadFailed(LowDoseError):
    """Public data collection or model that could not be downloaded.

    Usually the download client is not installed, there is no network, or some series did not arrive whole. The message
    tells how to install the client, how to resume, or how to download by hand.
    """
