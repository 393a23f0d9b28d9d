"""The caller's newest jobs, for the front page: what the tools tell of each, in the same words."""

import math

from aiohttp import web

from console.clients import address_of
from console.keys import FACTORY
from console.problems import problem_response
from domain.errors import RateLimited, Verdict
from service.admission.networks import network_of
from service.door import bearer, challenge, entered, known
from service.jobs import recent_jobs

_PLACE = "/jobs"
_STATUS = {"permission.denied": 403}


async def jobs(request: web.Request) -> web.Response:
    """Answer `GET /jobs` with `Authorization: Bearer …` or `X-Guest-Id: …`, as JSON."""
    factory, network = request.app[FACTORY], network_of(address_of(request))
    credential, guest = bearer(request.headers.get("Authorization")), request.headers.get("X-Guest-Id")
    try:
        caller = await known(factory, credential, guest, network=network, place=_PLACE)
        with entered(factory, caller, network=network, place=_PLACE):
            found = await recent_jobs(factory, caller)
    except RateLimited as limited:
        wait = {"Retry-After": str(math.ceil(limited.retry_after))}
        return problem_response(request, 429, limited.problems[0], wait)
    except Verdict as verdict:
        if verdict.code in _STATUS:
            return problem_response(request, _STATUS[verdict.code], verdict.problems[0])
        return problem_response(request, 401, verdict.problems[0], challenge(verdict.code))
    told = [job.model_dump(mode="json", exclude_none=True) | {"words": job.words, "rests": job.rests} for job in found]
    return web.json_response({"jobs": told}, headers={"Cache-Control": "no-store"})
