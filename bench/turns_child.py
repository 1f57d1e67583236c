"""The side of bench.turns in one checkout: each line on stdin names a measurement, each line on stdout answers it.

It runs with the modules of the checkout that is its working directory, so it uses only what both sides have.
"""

import importlib
import inspect
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event


def module(*names: str) -> Any:
    """The first of these modules that this checkout has."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise ModuleNotFoundError(f"this checkout has none of {', '.join(names)}")


def trips(engine: Engine) -> dict[str, int]:
    """Statements and commits of an engine; the dict goes on counting."""
    seen = {"statements": 0, "commits": 0}

    def count(name: str) -> Any:
        def add(*_: Any) -> None:
            seen[name] += 1

        return add

    event.listen(engine, "before_cursor_execute", count("statements"))
    event.listen(engine, "commit", count("commits"))
    return seen


def chunk_costs(folder: Path, model: Path, broker_url: str, files: dict[str, bytes]) -> dict[str, float]:
    """Statements and commits per chunk: of the upload, and of the work on it. No other process runs meanwhile."""
    application = module("tests.harness.application", "tests.application").application
    with application(folder, model, broker_url) as app:
        app.finished(dict(list(files.items())[:2]), {"metadata": {}})
        uploading, working = trips(app.database.engine), trips(app.runtime.database.engine)
        batch = app.submit(files, {"metadata": {}})
        uploaded = dict(uploading)
        app.work()
        worked = dict(working)
        with app.database.read() as connection:
            rows = connection.exec_driver_sql("SELECT batch_id FROM chunks").all()
        chunks = sum(row[0] == batch["id"] for row in rows)
    return {
        "chunks": chunks,
        **{f"upload {name}": count / chunks for name, count in uploaded.items()},
        **{f"work {name}": count / chunks for name, count in worked.items()},
    }


def main() -> None:
    """Answer `bare`, `guarded` (with the guard, where the checkout has it), `bulk` and `costs` until stdin ends."""
    asked = json.loads(sys.argv[1])
    scratch, found = Path(asked["scratch"]), [Path(path) for path in asked["images"]]
    bare, bulk = module("bench.bare"), module("bench.bulk")
    images = module("bench.images", "bench.pictures")
    model = images.artifact(Path(asked["data"])).path
    folder = images.folder_of(found, asked["count"], scratch / "in")
    with ExitStack() as closing:
        loop = guarded = closing.enter_context(bare.BareLoop(model, processes=2, threads=1))
        if "guarded" in inspect.signature(bare.BareLoop.__init__).parameters:
            guarded = closing.enter_context(bare.BareLoop(model, processes=2, threads=1, guarded=True))
        cached = {"cache": "on"} if hasattr(module("shared.settings").Settings, "cache") else {}
        stack = closing.enter_context(bulk.service(scratch / "stack", model, **cached))
        bulk.submit(stack, folder, asked["count"])
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            answer: dict[str, float]
            if line.strip() == "bare":
                answer = {"speed": loop.run(found, asked["count"])}
            elif line.strip() == "guarded":
                answer = {"speed": guarded.run(found, asked["count"])}
            elif line.strip() == "bulk":
                if cached:
                    images.distinct(folder)
                run = bulk.submit(stack, folder, asked["count"])
                answer = {"speed": run.speed, "cpu_ms": sum(run.cpu_ms.values())}
            else:
                (scratch / "costs").mkdir()
                files = {path.name: path.read_bytes() for path in found[:300]}
                answer = chunk_costs(scratch / "costs", model, asked["broker"], files)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
