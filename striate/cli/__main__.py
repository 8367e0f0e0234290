"""``python -m striate.cli`` is ``striate``."""

import sys

from striate.cli.app import main

sys.exit(main())
