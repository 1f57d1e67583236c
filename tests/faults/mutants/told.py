"""The guards of what a client reads, sends and is told, each taken out: rows 45 to 48 and 50."""

from collections.abc import Iterator
from typing import Any

from tests.faults.mutants.mutant import Mutant, put


def _cut_short() -> None:
    """A stream whose rows are gone ends like a whole one."""
    from web.resources import results

    whole = results.blocks

    def blocks(*args: Any) -> Iterator[Any]:
        try:
            yield from whole(*args)
        except results.CutShort:
            return

    put(results, blocks=blocks)


def _parts() -> None:
    """The transaction that ends the last view of a part does not end the part."""
    from shared.lifecycle import parts

    put(parts, complete=lambda connection, batch_id, chunk=None: ())


def _journal_key() -> None:
    """A plan that is sent again is another submission."""
    from shared.client.client import Client

    whole = Client.submit

    def submit(self: Client, *args: Any, idempotency_key: str, **options: Any) -> Any:
        return whole(self, *args, **options)

    put(Client, submit=submit)


def _verdict_of() -> None:
    """A watcher knows no file that it has moved."""
    from shared.cli.hot_folder import journal

    put(journal.Journal, verdict_of=lambda self, name, sha256: None)


def _tries() -> None:
    """A delivery is tried once."""
    from worker.webhooks import deliver

    put(deliver, WAITS_S=())


def _sweep_of_deliveries() -> None:
    """No sweep looks for due deliveries."""
    from worker.upkeep.steps import deliveries

    put(deliveries, find=lambda site, most: [])


def _one_transaction() -> None:
    """The place in a batch is committed before the messages are owed."""
    from shared import failpoints
    from shared.lifecycle import telling, told_items
    from worker.webhooks.telling import Teller

    whole, later = told_items._owe, list[Any]()

    def owe(connection: Any, *event: Any) -> tuple[str, ...]:
        later.append(event)
        return ("later",)

    def tell(self: Any, batch_id: str) -> int:
        more = True
        while more:
            later.clear()
            with self._database.write() as connection:
                told = telling.tell(connection, batch_id, self._base)
            if told.deliveries:
                failpoints.hit("tell.owed", batch_id)
            with self._database.write() as connection:
                for event in later:
                    whole(connection, *event)
            if told.deliveries:
                failpoints.hit("tell.committed", batch_id)
                self._owed()
            more = told.more
        return 0

    put(told_items, _owe=owe)
    put(Teller, _tell=tell)


_HOT = "judges_each_file_once and events and sqlite"
_EACH_EVENT = "each_event_arrives and sqlite"
MUTANTS = {
    "the cut of a stream": Mutant(_cut_short, 45, "goes_away_sees and sqlite"),
    "the end of parts": Mutant(_parts, 46, "every_message_two_to_five_times and sqlite"),
    "the key of a plan": Mutant(_journal_key, 47, _HOT),
    "files judged before": Mutant(_verdict_of, 47, _HOT),
    "tries of a delivery": Mutant(_tries, 48, _EACH_EVENT),
    "sweep of deliveries": Mutant(_sweep_of_deliveries, 48, _EACH_EVENT),
    "one transaction for place and messages": Mutant(_one_transaction, 50, "told_once_whenever and sqlite"),
}
