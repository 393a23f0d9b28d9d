"""Where the application keeps what its handlers share."""

from ipaddress import IPv4Network, IPv6Network

from aiohttp import ClientSession, web

from console.assets import Assets
from console.console_board import ConsoleBoard
from console.html import Pages
from console.state import StateBoard
from service.factory import Factory

FACTORY = web.AppKey("factory", Factory)
PAGES = web.AppKey("pages", Pages)
UPSTREAM = web.AppKey("upstream", ClientSession)
ASSETS = web.AppKey("assets", Assets)
CONSOLES = web.AppKey("consoles", ConsoleBoard)
PROXIES = web.AppKey("proxies", tuple[IPv4Network | IPv6Network, ...])
BOARD = web.AppKey("board", StateBoard)
