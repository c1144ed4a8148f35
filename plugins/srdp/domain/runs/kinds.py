"""What is made of an observation: the kinds of requests and runs."""

from __future__ import annotations

from typing import Final

#: The kind of a request to calibrate one VLA execution block; also what Airflow calls the DAG that does it.
VLA_CALIBRATION: Final = "vla_calibration"
#: The kind of a request to image one ALMA MOUS as a user asked; likewise.
ALMA_IMAGING: Final = "alma_imaging"
