"""The share of sentences that are hard to read stays under its limit."""

import pytest

from tests.arch.prose import Sentence, sentences, split

MOST_HARD = 0.01


@pytest.fixture(scope="module")
def found() -> list[Sentence]:
    return sentences()


def test_hard_sentences_stay_under_their_share(found: list[Sentence]) -> None:
    hard = [sentence for sentence in found if sentence.fault]
    print(f"{len(hard)} of {len(found)} sentences are hard ({len(hard) / len(found):.1%})")
    assert len(hard) / len(found) < MOST_HARD, [f"{each.path}:{each.line}: {each.text}" for each in hard[:40]]


def test_an_image_is_called_an_image(found: list[Sentence]) -> None:
    """The shipped cards are as old as their models."""
    others = [sentence for sentence in found if not sentence.path.startswith("shared/registry/published/")]
    assert [f"{each.path}:{each.line}: {each.text}" for each in others if each.says_picture] == []


@pytest.mark.parametrize(
    "text",
    [
        "Who loses the race changes nothing.",
        "What of the oldest untried chunks of a lane fits.",
        "Of a body without end 64 kB are read.",
        "One row for each setting.",
        "The header is signed anew at each attempt.",
        "Nobody waits for it.",
    ],
)
def test_a_hard_sentence_is_found(text: str) -> None:
    assert Sentence("a.py", 1, text).fault


@pytest.mark.parametrize(
    "text",
    [
        "The loser of a race changes nothing.",
        "Whatever its status, a batch is listed.",
        "Official names stay as they are.",
        "The client says who it is.",
    ],
)
def test_a_plain_sentence_is_not(text: str) -> None:
    assert not Sentence("a.py", 1, text).fault


def test_a_paragraph_is_split_into_sentences_without_code_and_links() -> None:
    paragraph = (
        "- The `Who.x` class counts. See [the page](what.md); it tells more: One thing is left (v1.2 only)."
    )
    assert split(paragraph) == [
        "The `x` class counts.",
        "See the page; it tells more:",
        "One thing is left (v1.2 only).",
    ]


def test_comments_docstrings_docs_pages_and_messages_are_all_read(found: list[Sentence]) -> None:
    kinds = {sentence.path.rpartition(".")[2] for sentence in found}
    assert {"py", "md", "html", "toml"} <= kinds
