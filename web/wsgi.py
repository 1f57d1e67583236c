"""`gunicorn web.wsgi:app`."""

from shared.logs import configure
from shared.settings import Settings
from web.app import create_app

settings = Settings.from_env()
configure(settings.log_level)
app = create_app(settings)
