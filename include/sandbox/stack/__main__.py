"""The stack's command line; ``make`` calls it."""

import sys

from sandbox.stack.commands import main

sys.exit(main())
