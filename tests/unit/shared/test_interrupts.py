"""Ctrl-C ends each program without a traceback, also while it still imports its modules."""

import http.client
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.interrupts import end_at_once, ending_at_once
from tests.harness.processes import ROOT, environment, free_port, until

PROGRAMS = {
    "up": ["shared.cli.main", "up"],
    "status": ["shared.cli.main", "status"],
    "web": ["web.server"],
    "worker": ["worker", "bulk"],
    "sweep": ["worker", "sweep"],
    "migrations": ["shared.store.migrations"],
    "keys": ["shared.access", "--tenant", "plant", "--name", "first"],
    "repair": ["worker.upkeep.repair"],
    "training": ["training", "check", "images"],
}
STOPPED = (0, 130, -signal.SIGINT)


def interrupted(argv: list[str], after: int, folder: Path) -> tuple[int, str]:
    """The status and the words of a program that gets SIGINT once it has imported `after` modules of its own."""
    asked = environment(
        GONOGO_DATA_DIR=str(folder / "data"),
        GONOGO_PORT=str(free_port()),
        GONOGO_BROKER_URL="redis://127.0.0.1:1/0",
        PYTHONPROFILEIMPORTTIME="1",  # Python writes a line to stderr for each module that it has imported
    )
    with subprocess.Popen(
        [sys.executable, "-m", *argv], cwd=ROOT, env=asked, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as program:  # fmt: skip
        assert program.stderr is not None
        begun = imported = False
        for line in program.stderr:
            begun = begun or "shared.interrupts" in line
            after -= begun
            if after < 0:
                imported = True
                break
        assert imported, "the program ended before it was interrupted"
        program.send_signal(signal.SIGINT)
        said = [line for line in program.stderr if not line.startswith("import time:")]
    return program.returncode, "".join(said)


@pytest.mark.parametrize("after", [1, 60])
@pytest.mark.parametrize("program", PROGRAMS)
def test_an_interrupt_during_the_imports_leaves_no_traceback(
    program: str, after: int, tmp_path: Path
) -> None:
    status, said = interrupted(PROGRAMS[program], after, tmp_path)
    assert "Traceback" not in said, said
    assert status in STOPPED, said


@pytest.mark.slow
def test_an_interrupt_drains_the_web_as_sigterm_does(tmp_path: Path) -> None:
    port = free_port()
    asked = environment(
        GONOGO_DATA_DIR=str(tmp_path), GONOGO_PORT=str(port), GONOGO_BROKER_URL="redis://127.0.0.1:1/0"
    )
    command = [sys.executable, "-m", "shared.store.migrations"]
    subprocess.run(command, cwd=ROOT, env=asked, check=True)
    command = [sys.executable, "-m", "web.server"]
    with subprocess.Popen(command, cwd=ROOT, env=asked, stderr=subprocess.PIPE, text=True) as web:
        until(lambda: answers(port), 60, "the web answers")
        web.send_signal(signal.SIGINT)
        _, said = web.communicate(timeout=60)
    assert (web.returncode, "Traceback" in said) == (0, False), said


def answers(port: int) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        client.request("GET", "/livez")
        return client.getresponse().status == 200
    except OSError:
        return False
    finally:
        client.close()


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_packages_of_a_program_import_nothing(program: str) -> None:
    path = ROOT / PROGRAMS[program][0].replace(".", "/")
    packages = [path, *path.parents] if path.is_dir() else path.parents
    inits = [folder / "__init__.py" for folder in packages if folder != ROOT and folder.is_relative_to(ROOT)]
    assert [init for init in inits if "import" in init.read_text()] == [], (
        "Python runs them before the program"
    )


def test_python_handles_interrupts_again_after_the_imports() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with ending_at_once():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_whose_interrupts_are_ignored_keeps_ignoring_them() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert not end_at_once()
        with ending_at_once():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_sigterm_ends_a_program_that_removes_its_scratch_files(tmp_path: Path) -> None:
    program = (
        "import sys, tempfile, time\n"
        "from shared.interrupts import leave_on_sigterm\n"
        "leave_on_sigterm()\n"
        "with tempfile.TemporaryDirectory(dir=sys.argv[1]):\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as begun:
        assert begun.stdout is not None and begun.stdout.readline() == "begun\n"
        assert len([*tmp_path.iterdir()]) == 1
        begun.terminate()
        assert begun.wait(20) == 143
    assert [*tmp_path.iterdir()] == []


def test_a_command_of_the_training_leaves_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training", "render", str(tmp_path / "parts"), "--count", "100000"]
    with subprocess.Popen(command, cwd=ROOT, env=environment()) as begun:
        until(lambda: any(tmp_path.glob("parts/*/*")), 30, "an image is drawn")
        begun.terminate()
        assert begun.wait(20) == 143
