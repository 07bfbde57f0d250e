import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncline.postgres import arrays


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(
    values=st.lists(
        st.one_of(
            st.text(st.characters(codec="utf-8", exclude_characters="\0")),
            st.sampled_from(["null", "NULL", "", " ", "{", "\\", '"']),
        ),
        min_size=1,
    )
)
def test_postgresql_reads_back_every_text(postgres, values):
    with psycopg.connect(postgres.url) as conn:
        row = conn.execute("SELECT %s::text[]", (arrays.texts(values),)).fetchone()
    assert row == (values,)
