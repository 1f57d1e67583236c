"""`python -m shared.store.migrations`: the database at its newest revision, and the shipped models."""

from shared.interrupts import end_at_once

if __name__ == "__main__":
    end_at_once()
    from shared.store.migrations.program import main

    main()
