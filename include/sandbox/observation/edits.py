"""What was edited in the real data, in words: the text that goes with the data wherever they are shown."""

from __future__ import annotations

#: Name of the file, inside the SDM, that says what was edited. The sandbox's pipeline shows it in the weblog.
README_NAME = "README.txt"

#: The line of a flag template that takes the damaged part out of the damaged observation.
CURING_FLAG = "mode='manual' antenna='ea12' timerange='1995/04/13/10:15:00~10:47:14' reason='ea12_decorrelated'"

_ORIGIN = """\
These are real data: the VLA's observation of the galaxy NGC 5921 in the 21 cm line of hydrogen, made on
13 April 1995 with 27 antennas (63 channels, RR and LL, 7 scans on 3C286, 1445+099 and NGC 5921). They come
from the file demo/NGC5921.fits of the casadata package. To make the SDM of an execution block of them, the
following was edited; every visibility that is not named here is as it was observed.

- Intents were added to the scans: 3C286 for flux density and bandpass, 1445+099 for gains, NGC 5921 as target.
- Antennas were given the names ea01 to ea28 by their numbers; an antenna without data was taken out.
- Two online flags were made up: ea04 not on source in the first minute of scan 1, ea08 with a subreflector
  error in the first minute of scan 2.
- The first integration was dropped: it lacks an antenna, and an SDM has all baselines or none.
- The telescope is called EVLA, and the spectral window and the stations have names, as in the SDMs of today's VLA.
"""

_DAMAGE = """\
- DAMAGED ON PURPOSE: in the second half of the observation (from 10:19:15 UTC on) every cross-correlation
  visibility of antenna ea12 was multiplied by 0.6 and turned by a random phase of up to 2.2 radians, as if the
  antenna had lost coherence.
"""


def readme(*, damaged: bool) -> str:
    """Return the text that says where the data come from and what was edited in them.

    Args:
        damaged: the observation is the one with the damaged antenna.
    """
    return _ORIGIN + _DAMAGE if damaged else _ORIGIN
