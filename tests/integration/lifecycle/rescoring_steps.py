"""The steps of a walk that change verdicts without inference."""

import contextlib

import pytest
from hypothesis import strategies as st

from shared.contract.operating_point import OperatingPoint
from shared.lifecycle import rescoring
from shared.lifecycle.rescoring import Overtaken
from shared.store.engine import Database
from shared.store.records import BatchRecord
from tests.integration.lifecycle.truth import check_verdicts

POINTS = st.sampled_from(
    [OperatingPoint(0.5, 0.5, 0.5), OperatingPoint(0.6, 0.3, 0.7), OperatingPoint(0.2, 0.2, 0.2)]
)


class _Crash(Exception):
    """A process that dies before its transaction commits."""


def rescore(database: Database, row: BatchRecord, point: OperatingPoint, *, crash: bool) -> bool:
    """Another operating point for a batch that was just read; a caller that read it before is overtaken.

    True where the batch was rescored, as each batch that has ended must be.
    """
    if crash and row.finished_at is not None:
        with pytest.raises(_Crash), database.write() as connection:
            rescoring.rescore(connection, row, point, None)
            raise _Crash
    done = False
    with contextlib.suppress(Overtaken):
        with database.write() as connection:
            rescoring.rescore(connection, row, point, None)
        done = True
    assert done == (row.finished_at is not None)
    with pytest.raises(Overtaken), database.write() as connection:
        rescoring.rescore(connection, row, point, None)
    with database.read() as connection:
        check_verdicts(connection, row.id)
    return done
