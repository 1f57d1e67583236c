"""The application for a plain WSGI server, under which a waiting request holds a thread (compare web/server)."""

from shared.logs import configure
from shared.settings import Settings
from web.app import create_app

settings = Settings.from_env()
configure(settings.log_level)
app = create_app(settings)
