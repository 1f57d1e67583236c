"""Python imports this first in every process whose PYTHONPATH names this folder; it calls the hooks of the tests.

`TEST_HOOKS="module:function ..."` names them.
"""

import importlib
import os

for name in os.environ.get("TEST_HOOKS", "").split():
    module, _, function = name.partition(":")
    getattr(importlib.import_module(module), function)()
