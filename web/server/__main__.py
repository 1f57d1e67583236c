"""`python -m web.server`: the web service, one process."""

from shared.interrupts import end_at_once

if __name__ == "__main__":
    end_at_once()
    from web.server.program import main

    main()
