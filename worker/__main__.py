"""`python -m worker ROLE`: bulk, interactive, webhooks, fetch, all or sweep."""

from shared.interrupts import end_at_once

if __name__ == "__main__":
    end_at_once()
    from worker.program import main

    main()
