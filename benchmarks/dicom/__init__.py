"""Speed of reading DICOM."""
