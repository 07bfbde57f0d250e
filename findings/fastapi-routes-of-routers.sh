#!/usr/bin/env bash
# FastAPI 0.163.2 beside 0.115.14.
#
# What it does: `app.routes` used to list every route. In newer releases `include_router` leaves one object in that list, without
# `path` or `endpoint`, and the router's routes are not there. A test that walks `app.routes` to see that each route
# demands a session, or a script that lists an application's routes, goes on to pass with nothing looked at.
# What one would have guessed: as many routes as the OpenAPI document has paths, or an error.
# Seen:
#     0.115.14: app.routes: /health /users/{id}; OpenAPI: /health /users/{id}
#     0.163.2: app.routes: /health; OpenAPI: /health /users/{id}
# What helps: walk the OpenAPI document (routes that are not hidden from it), and demand that something was found.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"

list() {
    packages "fastapi==$1"
    python - <<'PYTHON'
import fastapi
from fastapi.routing import APIRoute

router = fastapi.APIRouter(prefix="/users")
router.get("/{id}")(lambda id: id)
app = fastapi.FastAPI(openapi_url=None)
app.get("/health")(lambda: "well")
app.include_router(router)
walked = [route.path for route in app.routes if isinstance(route, APIRoute)]
print(f"{fastapi.__version__}: app.routes: {' '.join(walked)}; OpenAPI: {' '.join(app.openapi()['paths'])}")
PYTHON
    rm -rf "$folder/packages"
}

{ list 0.115.14; list 0.163.2; } | expect '0.115.14: app.routes: /health /users/{id}; OpenAPI: /health /users/{id}
0.163.2: app.routes: /health; OpenAPI: /health /users/{id}'
