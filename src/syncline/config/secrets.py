"""Nothing secret is ever printed: everything that shows a URL, an error or a log line passes through here."""

from __future__ import annotations

import re
from urllib.parse import unquote

MASK = "***"

_NAMES = r"(?:password|passwd|pwd|sslpassword|tlsCertificateKeyFilePassword|AWS_SESSION_TOKEN)"
_USERINFO = re.compile(r"(?<=://)([^\s:/@]*):(\S*)@")  # up to the last @: a raw @ or / may stand in a password
_OPTION = re.compile(rf"\b({_NAMES})(\s*=\s*)('(?:[^'\\]|\\.)*'|\"[^\"]*\"|[^\s&;,'\"]+)", re.IGNORECASE)
_PASSWORD = re.compile(rf"(?<=://)[^\s:/@]*:(\S*)@|\b{_NAMES}\s*=\s*'?([^\s&;,'\"]+)", re.IGNORECASE)


def redact(text: str) -> str:
    """Replace the passwords of PostgreSQL and MongoDB URLs, and ``password=`` options, by ``***``."""
    return _OPTION.sub(rf"\1\2{MASK}", _USERINFO.sub(rf"\1:{MASK}@", text))


def passwords(url: str) -> frozenset[str]:
    """Find the passwords in a URL, as written and decoded, for texts that name them without the URL around them."""
    found = {part for match in _PASSWORD.findall(url) for part in match if part}
    return frozenset(found | {unquote(part) for part in found})
