"""Reading and writing CT series: DICOM, NIfTI, NumPy and zip files, slice by slice."""
