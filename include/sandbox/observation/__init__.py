"""The sandbox's observation: real VLA data, turned into the SDM of an execution block; runs in CASA's Python."""
