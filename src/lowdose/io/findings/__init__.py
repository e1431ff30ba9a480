"""Annotated lesions of the formats that annotation programs and public collections deliver, in the pixels of a series.

``reading.read_findings`` reads a file or folder of any of them, and ``placement.place_findings`` says which pixels of a
series they are.
"""
