import psycopg


def move(url, customer_id, city):
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE customer SET city = %s WHERE customer_id = %s", (city, customer_id))


def forget(url, customer_id):
    with psycopg.connect(url) as conn:
        conn.execute("DELETE FROM customer WHERE customer_id = %s", (customer_id,))
