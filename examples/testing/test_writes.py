import psycopg
import pytest
import shop


@pytest.fixture
def customer(syncline_source):
    with psycopg.connect(syncline_source) as conn:
        conn.execute("INSERT INTO customer (customer_id, email, number) VALUES (7, 'ann@example.org', 'C-000007')")
        conn.execute(
            "INSERT INTO purchase (purchase_id, customer_id, state)"
            " VALUES ('00000000-0000-4000-8000-000000000001', 7, 'open')"
        )
    return 7


def test_moving_is_captured(syncline_source, syncline_captured, customer):
    with syncline_captured() as changes:
        shop.move(syncline_source, customer, "Ghent")
    assert changes == [("customer.updated", "7")]


def test_forgetting_a_customer_removes_the_purchases_too(syncline_source, syncline_captured, customer):
    with syncline_captured() as changes:
        shop.forget(syncline_source, customer)
    assert {event for event, _ in changes} == {"customer.deleted", "purchase.deleted"}
