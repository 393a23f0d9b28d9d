"""Where the application keeps what its handlers share."""

from aiohttp import ClientSession, web

from console.html import Pages
from console.state import StateBoard
from service.factory import Factory

FACTORY = web.AppKey("factory", Factory)
PAGES = web.AppKey("pages", Pages)
UPSTREAM = web.AppKey("upstream", ClientSession)
BOARD = web.AppKey("board", StateBoard)
