"""A walk through the pages of a list shows each row once, whatever workers and clients do meanwhile."""

import random
from collections.abc import Callable, Iterator

import pytest

from shared.lifecycle import claims, endings, steering
from shared.lifecycle.verdicts import Result, record
from tests.harness.application import Application
from web.resources import batches, items

FILTERS = ["", "verdict=defect,review", "verdict=no_defect", "status=queued,processing", "status=succeeded,failed",
           "min_score=0.4", "max_score=0.7&status=succeeded", "part_id=SN-1", "q=7"]  # fmt: skip


@pytest.fixture(autouse=True)
def all_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is the one writer, so every time before a first page is committed."""
    monkeypatch.setattr(items, "SETTLED_S", 0.0)
    monkeypatch.setattr(batches, "SETTLED_S", 0.0)


class Work:
    """Workers and clients, drawn by chance, on the lane `normal` and on these batches."""

    def __init__(self, app: Application, seed: int) -> None:
        self.app, self.chance = app, random.Random(seed)
        self.held: list[claims.Claim] = []

    def claim(self) -> None:
        with self.app.database.write() as connection:
            self.held += claims.claim(
                connection, lanes=["normal"], micro_batch=1, token="t", host="h", pid=1, lease_s=3600
            )

    def judge(self) -> None:
        """Record a claim that was drawn before."""
        if not self.held:
            return
        one = self.held.pop(self.chance.randrange(len(self.held)))
        with self.app.database.write() as connection:
            record(connection, [(one, [self._result(item.seq) for item in one.items])], model_sha256="f" * 64)
        with self.app.database.write() as connection:
            endings.complete(connection, one.batch_id)

    def retry(self, batch_id: str) -> None:
        with self.app.database.write() as connection:
            steering.retry(connection, batch_id)

    def _result(self, seq: int) -> Result:
        if self.chance.random() < 0.3:
            return Result(seq, error_code="timeout", error_detail="as drawn")
        return Result(
            seq, self.chance.choice(["defect", "no_defect", "review"]), round(self.chance.random(), 2)
        )


def submit(app: Application, count: int) -> str:
    """A batch of images of five parts."""
    lines = "".join(f"{number}.jpg,SN-{number % 5}\n" for number in range(count))
    files = [("images", f"{number}.jpg", b"x") for number in range(count)]
    made = app.post_form("/v1/batches", ("manifest", "m.csv", f"filename,part_id\n{lines}".encode()), *files)
    assert made.status_code == 202, made.text
    return str(made.get_json()["id"])


def walk(app: Application, path: str, query: str, key: str) -> Iterator[list[str]]:
    """The ids on each page."""
    cursor = ""
    while True:
        page = app.get(f"{path}?{query}{cursor}", key=key)
        yield [row["id"] for row in page["data"]]
        if not page["has_more"]:
            return
        cursor = f"&cursor={page['next_cursor']}"


def check_walk(
    matching: Callable[[], set[str]], pages: Iterator[list[str]], meanwhile: Callable[[], None]
) -> int:
    """Each row that matches all the while is shown once, none twice, and none that never matched."""
    always = ever = matching()
    seen: list[str] = []
    for page in pages:
        seen += page
        meanwhile()
        always, ever = always & matching(), ever | matching()
    assert len(seen) == len({*seen})
    assert always <= {*seen} <= ever
    return len(seen)


@pytest.mark.parametrize("sort", ["seq", "score", "-score"])
def test_a_walk_through_items_shows_each_once_while_the_batch_runs(app: Application, sort: str) -> None:
    shown = 0
    for number, wanted in enumerate(FILTERS):
        work = Work(app, seed=number)
        batch_id = submit(app, 36)
        path = f"/v1/batches/{batch_id}/items"
        for _ in range(4):
            work.claim()
            work.judge()

        def meanwhile(work: Work = work, batch_id: str = batch_id) -> None:
            for _ in range(work.chance.randrange(4)):
                work.claim()
                work.judge()
            work.retry(batch_id)

        def matching(path: str = path, wanted: str = wanted) -> set[str]:
            return {row["id"] for row in app.get(f"{path}?limit=1000&{wanted}")["data"]}

        query = f"limit=5&sort={sort}&{wanted}".rstrip("&")
        shown += check_walk(matching, walk(app, path, query, app.key), meanwhile)
        while work.held:
            work.judge()
        app.call("POST", f"/v1/batches/{batch_id}/cancel")
    assert shown > 60


@pytest.mark.parametrize(
    "wanted", ["", "status=queued,processing,completed,failed", "status=completed", "q=x"]
)
def test_a_walk_through_batches_shows_each_once_while_they_end_and_are_retried(
    app: Application, wanted: str
) -> None:
    key, work = app.make_key(f"walker {len(wanted)}", "submit", "read"), Work(app, seed=len(wanted))
    made = [app.submit({"a.jpg": b"x"}, {"name": f"x {number}"}, key=key)["id"] for number in range(24)]
    for _ in range(10):
        work.claim()
        work.judge()

    def meanwhile() -> None:
        made.append(app.submit({"a.jpg": b"x"}, {"name": "x late"}, key=key)["id"])
        for _ in range(3):
            work.claim()
            work.judge()
        work.retry(work.chance.choice(made))

    def matching() -> set[str]:
        return {row["id"] for row in app.get(f"/v1/batches?limit=100&{wanted}".rstrip("&"), key=key)["data"]}

    query = f"limit=3&{wanted}".rstrip("&")
    # A batch that came after the first page is before it: the walk goes the other way.
    first = set(made)
    pages = walk(app, "/v1/batches", query, key)
    shown = check_walk(lambda: matching() & first, pages, meanwhile)
    assert shown >= 5
