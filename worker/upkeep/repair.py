"""`python -m worker.upkeep.repair [--dry-run]`: one run over all steps, without the sweep's bounds."""

from shared.interrupts import end_at_once

if __name__ == "__main__":
    end_at_once()
    from worker.upkeep.repairing import main

    main()
