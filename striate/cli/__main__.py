"""``python -m striate.cli`` is ``striate``."""

import sys

from striate.cli import main

sys.exit(main())
