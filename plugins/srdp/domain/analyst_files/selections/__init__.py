"""The syntax in which CASA selects data: antennas, spectral windows, fields, scans, times and the rest.

Each rule was held against the MSSelection of casatools 6.7, by
``tests/srdp/domain/analyst_files/test_flag_commands_in_casa.py``. What is refused here stops the task, selects nothing,
or selects something else than it says; the range ``3~1`` of antennas or fields even ends CASA's process. Which
parameter of a flag command is which selection is in :mod:`srdp.domain.analyst_files.flag_parameters`.
"""
