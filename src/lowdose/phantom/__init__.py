"""Digital phantoms: test objects of image quality, seeded digital patients with labels, and lesions.

Lesions go into volumes (``lesions``), into digital patients (``lesion_placement``) and into slices of any origin
(``slice_lesions``, with kinds from ``lesion_kinds`` and places from ``lesion_sites``).
"""
