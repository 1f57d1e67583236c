"""Find sentences that are hard to read in comments, docstrings, messages, pages and docs.

`python -m tests.arch.prose` prints the share for each folder; `--list [PATH ...]` prints the sentences of these files
or folders; `--root DIR` reads another checkout.
"""

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

ROOT = Path(__file__).parents[2]
# These openings hide the actor until the end of the sentence.
OPENINGS = ("What", "Who", "Of", "One", "Those", "Whoever")
WORDS = ("anew", "nought", "beside", "whom", "nobody")
# The definition of *image* needs the other word, and this checker names what it looks for.
MAY_SAY_PICTURE = ("docs/glossary.md", "tests/arch/prose.py", "tests/arch/test_prose.py")
_PROGRAMS = ("web/", "worker/", "shared/", "training/")

_OPENING = re.compile(rf"^(?:{'|'.join(OPENINGS)})\b(?!\s+or more\b)(?!-)")
_WORD = re.compile(rf"\b(?:{'|'.join(WORDS)})\b", re.IGNORECASE)
_PICTURE = re.compile(r"\bpictures?\b", re.IGNORECASE)
_END = re.compile(r"(?<=[.!?:;])[\"')*_]*\s+(?=[\"'(*_]*[A-Z`])")
_DIRECTIVE = re.compile(r"^(?:noqa|type:|fmt:|pragma|!|-\*-|ruff:|mypy:)")
_MARKER = re.compile(r"^(?:[-*>]|\d+[.)]|#+)\s+")
_SQL = re.compile(r"\b(?:SELECT|INSERT|UPDATE|CREATE|PRAGMA|DELETE FROM|ALTER)\b")


@dataclass(frozen=True)
class Sentence:
    """A sentence and the line on which its paragraph begins. `fault` says why it is hard to read; empty: it is not."""

    path: str
    line: int
    text: str

    @property
    def fault(self) -> str:
        if found := _OPENING.search(self.text):
            return f"opens with {found.group()}"
        if found := _WORD.search(self.text):
            return f"says {found.group().lower()}"
        return ""

    @property
    def says_picture(self) -> bool:
        return self.path not in MAY_SAY_PICTURE and bool(_PICTURE.search(self.text))


def tracked(root: Path = ROOT) -> list[str]:
    """Paths of the files under version control, relative to `root`."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (root / name).is_file()]


def sentences(root: Path = ROOT, paths: Sequence[str] | None = None) -> list[Sentence]:
    """All sentences of the tracked files, or of those that lie at or below one of `paths`."""
    chosen = [
        name
        for name in tracked(root)
        if not paths
        or any(name == path.rstrip("/") or name.startswith(path.rstrip("/") + "/") for path in paths)
    ]
    return [
        Sentence(name, line, text)
        for name in chosen
        for line, paragraph in _paragraphs(name, root / name)
        for text in split(paragraph)
    ]


def split(paragraph: str) -> list[str]:
    """The sentences of a paragraph, without code spans, link targets and list markers."""
    plain = re.sub(r"``?[^`]*``?", "`x`", paragraph)
    plain = re.sub(r"\]\([^)]*\)", "]", plain).replace("[", "").replace("]", "")
    plain = _MARKER.sub("", " ".join(plain.split()))
    found = [part.strip("*_\"'( ") for part in _END.split(plain)]
    return [part for part in found if len(part.split()) > 1]


def _paragraphs(name: str, path: Path) -> Iterator[tuple[int, str]]:
    kind = PurePath(name).suffix
    if kind == ".py":
        text = path.read_text(encoding="utf-8")
        yield from _of_python(text, with_messages=name.startswith(_PROGRAMS))
    elif kind == ".md":
        yield from _of_markdown(path.read_text(encoding="utf-8"))
    elif kind == ".html":
        yield from _of_html(path.read_text(encoding="utf-8"))
    elif kind in (".toml", ".yml", ".yaml", ".sh", ".txt") or PurePath(name).name in ("Makefile", "run"):
        lines = path.read_text(encoding="utf-8").splitlines()
        yield from _joined(
            (at, line.strip()[1:]) for at, line in enumerate(lines, 1) if line.strip()[:1] == "#"
        )


def _of_python(text: str, *, with_messages: bool) -> Iterator[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    yield from _joined(
        (token.start[0], token.string[1:]) for token in tokens if token.type == tokenize.COMMENT
    )
    docstrings = set()
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            docstrings.add(first.value)
            for place, paragraph in _blocks(str(first.value.value)):
                yield first.lineno + place, paragraph
    if not with_messages:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            words = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values
            )
            docstrings.update(part for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            words = node.value
        else:
            continue
        # Prose has words; SQL, markup, keys and templates are left out.
        if len(words.split()) > 3 and words[:1].isalpha() and not _SQL.search(words) and "<" not in words:
            yield node.lineno, words


def _joined(comments: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Comment lines that follow each other are one paragraph."""
    first = last = 0
    held: list[str] = []
    for line, text in comments:
        if _DIRECTIVE.match(text.strip()) or not text.strip(" -=#"):
            continue
        if held and line != last + 1:
            yield first, " ".join(held)
            held = []
        if not held:
            first = line
        held.append(text.strip())
        last = line
    if held:
        yield first, " ".join(held)


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """(line, paragraph): an empty line, a list item and a heading each begin a new one."""
    held: list[str] = []
    first = 0
    for place, line in enumerate([*text.splitlines(), ""]):
        stripped = line.strip()
        if held and (not stripped or _MARKER.match(stripped)):
            yield first, " ".join(held)
            held = []
        if stripped:
            if not held:
                first = place
            held.append(stripped)
            if stripped.startswith("#"):
                yield first, " ".join(held)
                held = []


def _of_markdown(text: str) -> Iterator[tuple[int, str]]:
    """Paragraphs and table cells; code blocks are left out."""
    fenced, kept = False, []
    for line in text.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
            kept.append("")
        elif fenced:
            kept.append("")
        elif line.lstrip().startswith("|"):
            kept.append("")
            for cell in line.strip().strip("|").split("|"):
                yield len(kept), cell
        else:
            kept.append(re.sub(r"<!--.*?-->", "", line))
    for place, paragraph in _blocks("\n".join(kept)):
        yield place + 1, paragraph


def _of_html(text: str) -> Iterator[tuple[int, str]]:
    bare = re.sub(r"(?s)<(script|style)\b.*?</\1>|\{#.*?#\}|\{%.*?%\}|<!--.*?-->", _lines_of, text)
    bare = re.sub(r"(?s)\{\{.*?\}\}", "x", bare)
    bare = re.sub(r"(?s)</?(?:b|i|em|strong|a|span|code)\b[^>]*>", "", bare)
    bare = re.sub(r"(?s)<[^>]*>", lambda tag: "\n\n" + _lines_of(tag), bare)
    at = 1
    for block in re.split(r"(\n\s*\n)", bare):
        if len(block.split()) > 1:
            yield at, block
        at += block.count("\n")


def _lines_of(found: re.Match[str]) -> str:
    return "\n" * found.group().count("\n")


def main() -> int:
    """Print the shares, or the sentences of some files."""
    parser = argparse.ArgumentParser(prog="python -m tests.arch.prose", description=__doc__)
    parser.add_argument("paths", nargs="*", help="files and folders, relative to the root; all by default")
    parser.add_argument("--list", action="store_true", help="print the sentences and not the shares")
    parser.add_argument("--root", type=Path, default=ROOT)
    asked = parser.parse_args()
    found = sentences(asked.root, asked.paths)
    if asked.list:
        for sentence in found:
            fault = sentence.fault or ("says picture" if sentence.says_picture else "")
            if fault:
                print(f"{sentence.path}:{sentence.line}: {fault}: {sentence.text}")
        return 0
    total, hard, picture = Counter[str](), Counter[str](), Counter[str]()
    for sentence in found:
        for folder in ("all", "/".join(PurePath(sentence.path).parts[:-1][:2]) or "root"):
            total[folder] += 1
            hard[folder] += bool(sentence.fault)
            picture[folder] += sentence.says_picture
    for folder in sorted(total, key=lambda name: (name != "all", name)):
        share = 100 * hard[folder] / total[folder]
        print(
            f"{folder:40} {hard[folder]:5} of {total[folder]:5} hard ({share:4.1f} %), {picture[folder]:4} say picture"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
