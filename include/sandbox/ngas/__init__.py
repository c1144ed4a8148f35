"""An archive server that answers as NGAS (the ICRAR release 12.0) does, oddities and all.

It serves the demo and the tests; nothing in production imports it. What a client of the real server meets, it
meets here: version 2 of a file that was archived twice, 400 for almost every failure, SUCCESS for a corrupt file, a
copy on each of several disks, nodes that answer for each other. What it does not do stands in :data:`DEVIATIONS`.
"""

from __future__ import annotations

from collections.abc import Mapping

_NOBODY_ASKS = "no client of an archive uses it"
_DESTROYS = "it destroys what is stored, and the project never sends it"

#: In what it differs from the real server, by command or by subject, and why that is so.
DEVIATIONS: Mapping[str, str] = {
    **dict.fromkeys(("BBCPARC", "CAPPEND", "CARCHIVE", "CCREATE", "CDESTROY", "CLIST", "CREMOVE"), _NOBODY_ASKS),
    **dict.fromkeys(("CRETRIEVE", "HELP", "INIT", "LABEL", "LARCHIVE", "REARCHIVE", "REGISTER"), _NOBODY_ASKS),
    **dict.fromkeys(("SUBSCRIBE", "UNSUBSCRIBE"), _NOBODY_ASKS),
    **dict.fromkeys(("OFFLINE", "ONLINE"), "a fault does the same"),
    **dict.fromkeys(("CACHEDEL", "DISCARD", "REMDISK", "REMFILE"), _DESTROYS),
    "CLONE of many files": "an operator repairs one copy at a time; there are no retries with waits between",
    "QUERY": "files_like, files_list and disks_list only: the others are for people",
    "plug-ins": "a mime type is stored as it is or refused; no plug-in changes bytes",
    "accounts": "one account, with rights for each command",
    "subscription, mirroring, cache": "they concern servers among themselves",
}
