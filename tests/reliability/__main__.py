"""``python -m tests.reliability --minutes 60``: see ``program``.

The program is not in this module, because spawned processes do not import it.
"""

from __future__ import annotations

import sys

from tests.reliability.program import main

if __name__ == "__main__":
    sys.exit(main())
