"""`python -m training {render, check, train, guard, hasten, evaluate, publish, quality}`."""

import sys

from shared.interrupts import ending_at_once

if __name__ == "__main__":
    with ending_at_once():
        from training.program import main
    sys.exit(main())
