"""Reading and writing DICOM CT series."""
