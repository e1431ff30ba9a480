"""lowdose: low-dose CT denoising, from the DICOM series to the proof that it is right.

Hounsfield units (HU) everywhere outside a network; research use only, not a medical device.
"""

__version__ = "0.1.0"
