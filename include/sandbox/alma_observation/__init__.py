"""The sandbox's ALMA observation: one simulated MOUS and its calibration, made with CASA; its ingestion."""
