"""`python -m training {render, check, train, guard, hasten, evaluate, publish, quality}`."""

import sys

from shared.interrupts import ending_at_once, leave_on_sigterm

if __name__ == "__main__":
    with ending_at_once():
        from training.program import main
    leave_on_sigterm()
    sys.exit(main())
