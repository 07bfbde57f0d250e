"""Read-your-writes: what a commit is called, and whether it has reached the target."""

from syncline.errors import TokenError as TokenError
from syncline.tokens.token import merge as merge
from syncline.tokens.token import parse as parse
