"""The settings a person reads about are those there are."""

from dataclasses import fields

from shared.settings import Settings
from tests.arch import settings_table


def test_the_page_lists_exactly_the_settings_with_their_defaults() -> None:
    told = "docs/settings.md is behind: python -m tests.arch.settings_table"
    assert settings_table.documented() == settings_table.table(), told


def test_every_setting_says_what_it_is() -> None:
    for entry in fields(Settings):
        assert len(entry.metadata["about"]) > 10, entry.name
