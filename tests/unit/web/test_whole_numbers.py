"""In JSON, 3.0 is an integer: every body that has one takes it, as its schema says."""

from pydantic import ValidationError

from tests.harness.site import Site
from web.http.validators import adapter, properties


def test_each_integer_of_a_body_may_be_written_with_a_point(site: Site) -> None:
    operations = [getattr(view, "operation", None) for view in site.app.view_functions.values()]
    kinds = [each.body["application/json"] for each in operations if each and "application/json" in each.body]
    seen = 0
    for kind in kinds:
        for name, schema in properties(kind).items():
            choices = schema.get("anyOf", [schema])
            assert isinstance(choices, list)
            if not any(choice.get("type") == "integer" for choice in choices):
                continue
            seen += 1
            try:
                adapter(kind).validate_python({name: 3.0})
            except ValidationError as error:
                assert name not in {str(each["loc"][0]) for each in error.errors()}, (kind, name)
    assert seen >= 5
