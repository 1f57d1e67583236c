"""The page skips the files that the CLI and archives skip: its script is held against their rule."""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from shared.contract import image_files
from tests.arch.prose import ROOT

SCRIPT = ROOT / "web/pages/static/image_files.js"
STEPS = ["a.jpg", "B.JPEG", "c.jpe", "d.Tiff", "e.gif", "f", "photo.jpg.txt", ".hidden", "._a.jpg", ".DS_Store",
         ".ds_store", "THUMBS.DB", "ehthumbs.db", "Desktop.ini", "__MACOSX", "@eaDir", "..", ".", "a\\.x\\b.png",
         "x.jfif"]  # fmt: skip
STARTS = [b"", b"\xff\xd8\xff", b"\r\n\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBP", b"RIFF1234WAVE", b"BM",
          b"BM6\0", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF89a", b"\n\xff\xd8\xff",
          b"BMW parts, order 4711"]  # fmt: skip
_SIZES = (0, 12, 16, 40, 52, 56, 64, 108, 124, 125, 40 + 256)
BITMAPS = [b"BM" + bytes(12) + size.to_bytes(4, "little") + bytes(10) for size in _SIZES]
ASK = """
import { readFileSync } from "node:fs";
import { claimsImage, skipByContent, skipByName } from "./image_files.mjs";
const [paths, heads] = JSON.parse(readFileSync(0));
const found = [paths.map((path) => [skipByName(path), claimsImage(path)]), heads.map(skipByContent)];
console.log(JSON.stringify(found));
"""


def test_the_script_skips_what_the_rule_skips(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs node on the PATH")
    drawn = random.Random(3)
    paths = ["/".join(drawn.choices(STEPS, k=drawn.randint(1, 3))) for _ in range(2000)]
    tails = [drawn.randbytes(drawn.randint(0, 40)) for _ in range(600)]
    heads = [(drawn.choice(STARTS) + tail)[: image_files.HEAD_BYTES] for tail in tails] + STARTS + BITMAPS
    (tmp_path / "image_files.mjs").write_bytes(SCRIPT.read_bytes())
    (tmp_path / "ask.mjs").write_text(ASK)
    done = subprocess.run(
        ["node", tmp_path / "ask.mjs"], input=json.dumps([paths, [head.decode("latin-1") for head in heads]]),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    by_name, by_content = json.loads(done.stdout)
    assert dict(zip(paths, by_name, strict=True)) == {
        path: [image_files.skip_by_name(path) or "", image_files.claims_image(path)] for path in paths
    }
    assert dict(zip(heads, by_content, strict=True)) == {
        head: image_files.skip_by_content(head) or "" for head in heads
    }
