"""Site configuration of CASA: nothing is fetched, no window is opened, and the log is where CASA is started.

The ``casa`` command beside this file names it in ``CASASITECONFIG``. casaconfig executes it as a script and keeps the
variables whose names it knows. It parses ``sys.argv`` too, so no option of casaconfig may be used for anything else.
"""

import atexit as _atexit
import os as _os
import shutil as _shutil
import tempfile as _tempfile
import time as _time

import casadata as _casadata

# Tables of Earth orientation, beam models and flux standards: those of the casadata package, as they were released.
# CASA warns at each start that the leap seconds are out of date; that is no fault of a run.
measurespath = _casadata.datapath
datapath = [_casadata.datapath]
measures_auto_update = False
data_auto_update = False

# The name that CASA gives its log by itself. A regular file in the run's working directory: the pipeline links it into
# the weblog before it packs it.
logfile = _os.path.join(_os.getcwd(), _time.strftime("casa-%Y%m%d-%H%M%S.log", _time.gmtime()))  # noqa: PTH109, PTH118
log2term = False
nologger = True
nogui = True
agg = True
casaconfig_verbose = 0

# IPython's profile and history. Runs must not share it (it is an SQLite file), and nobody reads it afterwards.
cachedir = _tempfile.mkdtemp(prefix="casa-cache-")
_atexit.register(_shutil.rmtree, cachedir, ignore_errors=True)
