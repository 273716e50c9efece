"""Translation between HTTP and the recommender's values: pages for people, JSON for programs. Nothing else.

Importing this builds nothing and reads nothing; `create_app` imports what it wires, so that the process that only
starts the workers stays small and no engine's threads exist before the fork. Not here: any rule about pictures.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flask import Flask

from recommender.settings import Settings

if TYPE_CHECKING:
    from recommender.publication import Publication


def create_app(settings: Settings | None = None, recommender: Publication | None = None) -> Flask:
    """Wire an application. Without `recommender` it opens what is published now and then watches for newer.

    Raises SettingError where `settings` is left out and the environment holds one that makes no sense.
    """
    from recommender.publication import Publication
    from web import api, describe, errors, headers, pages
    from web.draining import DrainedRequests
    from web.metrics import Metrics
    from web.uploads import MemoryRequest, UploadRoom
    from web.wiring import Json, Wiring

    # Settings
    settings = settings or Settings.from_env(os.environ)

    # What answers
    if recommender is None:
        recommender = Publication(settings)
        recommender.refresh()
        recommender.watch()

    # The application: it has no secret of its own, and no cookie but the operator's
    app = Flask(__name__)
    app.request_class = MemoryRequest
    app.json = Json(app)
    # An address with a doubled slash is a wrong address: a redirect would turn a program's POST into a riddle.
    app.url_map.merge_slashes = False
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    metrics = Metrics(recommender)
    Wiring(settings, recommender, metrics, UploadRoom(settings.max_uploads)).attach(app)

    # Addresses
    app.register_blueprint(api.blueprint)
    app.register_blueprint(describe.blueprint)
    app.register_blueprint(pages.blueprint)
    if settings.admin_token:
        from web import admin, jobs

        app.register_blueprint(jobs.blueprint)
        app.register_blueprint(admin.blueprint)

    # What every answer shares
    errors.register(app)
    headers.register(app)
    metrics.register(app)
    app.wsgi_app = DrainedRequests(app.wsgi_app)  # type: ignore[method-assign]  # Flask's documented way
    return app
