"""An archive server that answers as NGAS (the ICRAR release 12.0) does, oddities and all.

It serves the demo and the tests; nothing in production imports it. What a client of the real server meets, it
meets here: version 2 of a file that was archived twice, 400 for almost every failure, SUCCESS for a corrupt file.
"""
