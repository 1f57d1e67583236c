"""The container image: linted, pinned, without root, and built from a context that no secret can enter."""

import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
SECRETS = [
    ".env",
    ".env.production",
    ".git/config",
    ".venv/bin/python",
    "admin-key",
    "gonogo-data/admin-key",
    "gonogo-data/gonogo.db",
    "demo-data/admin-key",
    "deploy/secrets/tls.key",
    "deploy/secrets/valkey.acl",
    "backup-2026/gonogo.db",
    "id_ed25519",
    "server.pem",
    "shared/.env",
    "shared/.env.local",
    "shared/store/gonogo.db",
    "shared/store/gonogo.db-wal",
    "web/tls.key",
    "web/pages/server.pem",
    "worker/secrets/token",
    "training/data/id_rsa",
    "tests/data/key.pem",
]


def rules(text: str) -> list[tuple[bool, re.Pattern[str]]]:
    """(is an exception, pattern) of each line of a .dockerignore, as Docker reads them."""
    made = []
    for line in text.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        negated = pattern.startswith("!")
        parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\])", pattern.lstrip("!").strip("/"))
        spelled = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        regex = "".join(
            spelled.get(part, part if part.startswith("[") else re.escape(part)) for part in parts
        )
        made.append((negated, re.compile(regex)))
    return made


def is_sent(path: str, ignored: list[tuple[bool, re.Pattern[str]]]) -> bool:
    """Whether a file is part of the context: the last rule that matches it, or a folder above it, decides."""
    names = [path, *(str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")]
    sent = True
    for negated, pattern in ignored:
        if any(pattern.fullmatch(name) for name in names):
            sent = negated
    return sent


IGNORED = rules((ROOT / ".dockerignore").read_text())


@pytest.mark.parametrize("path", SECRETS)
def test_a_secret_in_the_folder_is_not_sent_to_the_build(path: str) -> None:
    assert not is_sent(path, IGNORED)


def test_every_source_is_sent_to_the_build_and_nothing_else_of_the_repository() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    sent = {path for path in tracked if is_sent(path, IGNORED)}
    sources = {path for path in tracked if path.split("/")[0] in ("shared", "web", "worker", "training")}
    files = {f".ci/lock/{name}.txt" for name in ("build", "serve", "gpu")}
    assert sent == sources | files | {"pyproject.toml", "README.md", "LICENSE"}


def test_the_rules_are_read_as_docker_reads_them() -> None:
    read = rules("*\n!kept\n# a comment\n**/*.key\nkept/deep/**\n!kept/deep/one?.txt")
    assert not is_sent("other/file", read)
    assert is_sent("kept/a/b.py", read)
    assert not is_sent("kept/a/b.key", read)
    assert not is_sent("kept/deep/file", read)
    assert is_sent("kept/deep/one1.txt", read)


def test_the_dockerfile_has_no_finding_of_hadolint() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_is_pinned_runs_without_root_and_copies_no_whole_folder() -> None:
    lines = DOCKERFILE.read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert bases
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base) for base in bases)
    assert lines[-2:] == ["USER 10001:10001", 'CMD ["python", "-m", "web.server"]']
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert not {".", "./", "*"} & set(copied)
    assert "ADD " not in DOCKERFILE.read_text()
    installs = [line for line in lines if "pip install" in line]
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
