"""What a finding shows of masked fields: nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.model.canonical import MISSING, differences
from syncline.model.extended import extended
from syncline.model.masks import MASKED
from syncline.verify.masking import Mask

SECRET = "s3cr3t"
MASKS = ["secret", "profile.email", "rows.pin", "deep.a.b"]
HIDING = st.recursive(
    st.one_of(st.just(SECRET), st.none(), st.integers(), st.just([SECRET])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["email", "pin", "a", "b", "0"]), inner, max_size=2),
    ),
    max_leaves=5,
)


def only_secrets(value, path):
    """Keep the secret only where it is declared, in a document as it should be or as somebody damaged it."""
    if isinstance(value, dict):
        return {name: only_secrets(item, (*path, name)) for name, item in value.items()}
    if isinstance(value, list):
        return [only_secrets(item, path) for item in value]
    inside = any(tuple(mask.split("."))[: len(path)] in (path, path[: mask.count(".") + 1]) for mask in MASKS)
    return value if value != SECRET or inside else "plain"


DOCUMENTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("secret", "profile", "rows", "deep", "open"), HIDING)
).map(lambda document: only_secrets(document, ()))


@given(DOCUMENTS, DOCUMENTS)
def test_no_difference_shows_a_masked_value(source, target):
    mask = Mask(MASKS)
    for path, left, right in differences(source, target):
        shown = mask.pair(path, left, right)
        assert SECRET not in repr(shown)
        assert SECRET not in str([extended(value) for value in shown])


@pytest.mark.parametrize(
    ("path", "source", "target", "shown"),
    [
        ("secret", "a", "b", (MASKED, MASKED)),
        ("secret", "a", MISSING, (MASKED, MASKED)),
        ("secret.0", "a", "b", (MASKED, MASKED)),
        ("secrets", "a", "b", ("a", "b")),
        ("profile", {"email": "a", "n": 1}, MISSING, ({"email": MASKED, "n": 1}, MISSING)),
        ("profile", {"email": "a"}, "text with a", ({"email": MASKED}, MASKED)),
        ("profile", {"email": "a"}, None, ({"email": MASKED}, None)),
        ("profile.n", 1, 2, (1, 2)),
        ("rows.3.pin", 1, 2, (MASKED, MASKED)),
        ("rows", [{"pin": 1, "x": 2}], [], ([{"pin": MASKED, "x": 2}], [])),
        ("deep.a", {"b": 1}, {"c": 1}, ({"b": MASKED}, {"c": 1})),
    ],
)
def test_what_is_shown(path, source, target, shown):
    assert Mask(MASKS).pair(path, source, target) == shown


def test_without_masks_all_is_shown():
    assert Mask(()).pair("secret", "a", "b") == ("a", "b")
