"""Names arrive as people gave them, whatever client and encoding carried them."""

import pytest

from web.http.problems import HttpProblem
from web.upload import names
from web.upload.name_encodings import guessed

CHINESE = """
零件一 良品 缺陷图片 相机左侧 外壳 产品编号4711 划痕 正面 电池 焊点
检测结果 轴承 工件A 新建文件夹 图像 样本1 测试 第一批 照片 右 左_01
"""
JAPANESE = """
部品 良品 不良 画像 表面 左側カメラ 右 テスト キズ 検査結果 ネジ
製品4711 電池 溶接 ソフト 表 ラベル 新しいフォルダー 写真 サンプル カメラ1
"""
WESTERN = """
Gehäuse Prüfling Stoß Öse Größe Übergröße Schraube_größer Außenfläche Rückseite Träger kühler défaut pièce boîtier
côté façade déjà première éprouvée arrière gâchette pieza_dañada cámara ángulo año tornillería niño café Kølerør
Æske måling Åben blåbær søm prøve
"""


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("gbk", CHINESE), ("cp932", JAPANESE), ("cp1252", WESTERN), ("utf-8", CHINESE + " " + WESTERN)],
)
def test_names_of_form_parts_are_read_in_their_encoding(encoding: str, text: str) -> None:
    for word in text.split():
        assert names.decoded(f"{word}.jpg".encode(encoding)) == f"{word}.jpg"


def test_names_of_old_zip_tools_are_read_in_the_dos_encoding() -> None:
    for word in WESTERN.split():
        assert guessed(f"{word}.jpg".encode("cp850"), archive=True) == f"{word}.jpg"


def test_most_names_of_zips_are_read_in_the_other_encodings_too() -> None:
    """cp850 and cp1252 overlap: some names are good words in both."""
    samples = [("gbk", CHINESE), ("cp932", JAPANESE), ("cp1252", WESTERN)]
    words = [(encoding, f"{word}.jpg") for encoding, text in samples for word in text.split()]
    right = sum(guessed(word.encode(encoding), archive=True) == word for encoding, word in words)
    assert right >= 0.9 * len(words)


@pytest.mark.parametrize(
    ("plain", "extended", "name"),
    [
        (b"a.jpg", None, "a.jpg"),
        (None, b"UTF-8''Geh%C3%A4use.jpg", "Gehäuse.jpg"),
        (b"Geh_use.jpg", b"utf-8'de'Geh%C3%A4use.jpg", "Gehäuse.jpg"),
        (None, b"iso-8859-1''Geh%E4use.jpg", "Gehäuse.jpg"),
        (b"a.jpg", b"nonsense", "a.jpg"),
        (b"a.jpg", b"no-such-charset''b.jpg", "a.jpg"),
        (b"a.jpg", b"UTF-8''%ff.jpg", "a.jpg"),
        (b"=?utf-8?B?R2Vow6R1c2UuanBn?=", None, "Gehäuse.jpg"),
        (b"=?utf-8?Q?Geh=C3=A4use.jpg?=", None, "Gehäuse.jpg"),
        (b"=?utf-8?B?R2Vow6R1?= =?utf-8?B?c2UuanBn?=", None, "Gehäuse.jpg"),
        (b"=?nonsense?B?R2Vow6R1c2UuanBn?=", None, "=?nonsense?B?R2Vow6R1c2UuanBn?="),
        (b"a=?b?.jpg", None, "a=?b?.jpg"),
        ("Screenshot 3.04.05\u202fPM.png".encode(), None, "Screenshot 3.04.05\u202fPM.png"),
        (b"C:\\parts\\a.jpg", None, "C:\\parts\\a.jpg"),
        (b"/line/1/a.jpg", None, "/line/1/a.jpg"),
        (None, None, ""),
    ],
)
def test_the_name_of_a_part_is_kept_as_sent(plain: bytes | None, extended: bytes | None, name: str) -> None:
    assert names.of_part(plain, extended) == name
    assert names.checked(name) == (name or "unnamed")


@pytest.mark.parametrize("plain", [None, b""])
@pytest.mark.parametrize(
    "extended",
    [
        b"",
        b"nonsense",
        b"no-such-charset''b.jpg",
        b"rot13''b.jpg",
        b"utf\0-8''b.jpg",
        b"''b.jpg",
        b"UTF-8''%ff.jpg",
        b"UTF-8''100%.jpg",
        b"UTF-8''%4g.jpg",
    ],
)
def test_an_extended_name_that_cannot_be_read_is_refused_unless_a_plain_one_is_there(
    plain: bytes | None, extended: bytes
) -> None:
    with pytest.raises(HttpProblem) as refused:
        names.of_part(plain, extended)
    assert (refused.value.status, refused.value.code) == (400, "malformed_multipart")
    assert names.of_part(b"a.jpg", extended) == "a.jpg"


@pytest.mark.parametrize("name", ["a\0.jpg", "a\x1f.jpg", "a\x7f.jpg", "a\x85.jpg", "\ud800.jpg", "x" * 1001])
def test_names_that_cannot_be_kept_are_refused_and_shown_without_harm(name: str) -> None:
    with pytest.raises(HttpProblem) as refused:
        names.checked(name)
    assert (refused.value.status, refused.value.code) == (400, "invalid_filename")
    shown = names.shown(name)
    assert len(shown) <= 1000 and names.objection(shown) is None
    shown.encode()


@pytest.mark.parametrize("raw", [b"\xff", b"\x81", b"\x80.jpg", b"\xe4\x00", bytes(range(128, 256))])
def test_bytes_of_no_encoding_become_some_text(raw: bytes) -> None:
    names.decoded(raw)
    names.decoded(raw, archive=True)
