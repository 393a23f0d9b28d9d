"""Texts that a guest, a package or a program wrote, made safe to show and short enough."""

from domain.text import clean_untrusted


def clean(text: str, limit: int) -> str:
    """Strip what could deceive a terminal or a reader, and clip to `limit` characters, saying so."""
    safe = clean_untrusted(text)
    return safe if len(safe) <= limit else f"{safe[:limit]}… ({len(safe) - limit} characters cut)"
