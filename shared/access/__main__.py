"""`python -m shared.access --tenant TENANT --name NAME`: make a key in the database itself, without having one."""

import sys

from shared.interrupts import end_at_once

if __name__ == "__main__":
    end_at_once()
    from shared.access.program import main

    sys.exit(main())
