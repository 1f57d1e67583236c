"""Deadlines, bounds and shares, each taken out: rows 39, 40, 41 and 44."""

from typing import Any

from tests.faults.mutants.mutant import Mutant, put

_HUGE = 2**50
_CROWDS = "two_thousand_connections"
_BOMBS = "memory_bombs"
_TRIALS = "fails_its_trial"
_FLOOD = "floods_a_lane and sqlite"


def _deadline_of_headers() -> None:
    """Headers may take any time."""
    from web.server import connection

    put(connection, HEADERS_S=1e6, IDLE_S=1e6)


def _deadline_of_bodies() -> None:
    """A body may fall silent for any time."""
    from web.server import bridge

    put(bridge.Limits.__init__, __defaults__=_changed(bridge.Limits, quiet_s=1e6))


def _changed(of: Any, **changed: Any) -> tuple[Any, ...]:
    """The defaults of a dataclass, some changed."""
    defaults = {name: each.default for name, each in of.__dataclass_fields__.items()}
    return tuple((defaults | changed).values())


def _parking() -> None:
    """A request that waits holds its thread."""
    from web.server import bridge

    put(bridge, BRIDGED="gonogo.never")


def _rest_of_bodies() -> None:
    """The server looks at each body that has fallen silent five times a second."""
    import asyncio

    from web.server import bridge
    from web.server.receiving import blocks

    def restless(protocol: Any, receive: Any, quiet_s: float, held: Any) -> Any:
        async def looking() -> Any:
            coming = asyncio.ensure_future(receive())
            while not coming.done():
                await asyncio.wait({coming}, timeout=0.2)
            return coming.result()

        return blocks(protocol, looking, quiet_s, held)

    put(bridge, blocks=restless)


def _shares_of_events() -> None:
    """All streams of a batch look at the same time."""
    from web.server import bridge

    put(bridge, EVENTS_AT_ONCE=2000)


def _tar_headers() -> None:
    """An extended header is read whole, whatever its size."""
    from web.upload import tar_members

    put(tar_members, _MAX_HEADER_BYTES=_HUGE)


def _zip_directory() -> None:
    """A directory is read whole, whatever its size."""
    from web.upload import zip_layout

    put(zip_layout, MAX_MEMBERS=_HUGE, MAX_DIRECTORY_BYTES=_HUGE)


def _json_bodies() -> None:
    """A JSON body is received whole, whatever its size."""
    from shared import json_text
    from web.server import bridge

    put(json_text, MAX_BYTES=_HUGE)
    put(bridge.Limits.__init__, __defaults__=_changed(bridge.Limits, small_body_bytes=_HUGE))


def _scans() -> None:
    """A JPEG may have any number of scans."""
    from shared.vision.formats import jpeg_markers

    put(jpeg_markers, check_scans=lambda data, header: None)


def _self_test() -> None:
    """Whatever logits a model gives, they are right."""
    from shared.registry.artifact import Artifact

    put(Artifact, self_test=lambda self: None)


def _time_of_a_trial() -> None:
    """A trial may take any time."""
    from shared.registry import trial

    whole = trial.refusal
    put(trial, refusal=lambda path, **bounds: whole(path, **{**bounds, "seconds": 1e6}))


def _turns_of_tenants() -> None:
    """The oldest chunk of a lane is next, whoever waits."""
    from sqlalchemy import select
    from sqlalchemy.orm import aliased

    from shared.lifecycle import turns
    from shared.store.tables import Chunk

    oldest = aliased(Chunk)
    found = select(oldest.id).where(turns.is_claimable(oldest)).order_by(oldest.id).limit(1)
    put(turns, NEXT_CHUNK=found.with_for_update(skip_locked=True).scalar_subquery())


def _lines_of_receivers() -> None:
    """Eight threads take the deliveries in the order in which they are due."""
    from worker.webhooks import dispatch

    put(dispatch.Dispatcher, _room=lambda self, line, in_hand: 8 - in_hand.total())


MUTANTS = {
    "deadline of headers": Mutant(_deadline_of_headers, 39, _CROWDS),
    "deadline of bodies": Mutant(_deadline_of_bodies, 39, _CROWDS),
    "parking": Mutant(_parking, 39, _CROWDS),
    "rest of bodies": Mutant(_rest_of_bodies, 39, _CROWDS),
    "turns of streams": Mutant(_shares_of_events, 39, "two_thousand_open_streams"),
    "bound on a tar's headers": Mutant(_tar_headers, 40, _BOMBS),
    "bound on a zip's directory": Mutant(_zip_directory, 40, _BOMBS),
    "bound on JSON": Mutant(_json_bodies, 40, _BOMBS),
    "bound on scans": Mutant(_scans, 40, _BOMBS),
    "comparison of the self-test": Mutant(_self_test, 41, _TRIALS),
    "time of a trial": Mutant(_time_of_a_trial, 41, _TRIALS),
    "turns of tenants": Mutant(_turns_of_tenants, 44, _FLOOD),
    "lines of receivers": Mutant(_lines_of_receivers, 44, _FLOOD),
}
