"""Objects whose truth is known: the digital patient, the inserter of lesions, the quality phantoms."""

from lowdose.physics.phantom.lesions import Lesion, insert_lesion
from lowdose.physics.phantom.patient import Patient, digital_patient
from lowdose.physics.phantom.simple import abdomen, with_noise

__all__ = ["Lesion", "Patient", "abdomen", "digital_patient", "insert_lesion", "with_noise"]
