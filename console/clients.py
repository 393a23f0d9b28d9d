"""From where a request comes, whoever passes it on."""

from aiohttp import web

from console.keys import PROXIES
from service.admission.networks import client_address


def address_of(request: web.Request) -> str | None:
    """Return the client's address, behind the proxies that the settings name."""
    return client_address(request.remote, request.headers.getall("X-Forwarded-For", ()), request.app.get(PROXIES, ()))
