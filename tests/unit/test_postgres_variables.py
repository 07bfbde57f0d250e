"""POSTGRES_HOST and the like: the target of a document link, verified where it is another machine."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from syncline.config.postgres_variables import postgres_url
from syncline.contrib.django.postgres_variables import postgres_settings
from syncline.errors import ConfigError


def url(**given: str) -> dict[str, str]:
    found = postgres_url({f"POSTGRES_{name.upper()}": value for name, value in given.items()})
    assert found is not None
    return {name: str(value) for name, value in conninfo_to_dict(found).items()}


def test_without_host_and_name_there_is_none():
    assert postgres_url({"POSTGRES_USER": "ada", "POSTGRES_PASSWORD": "x"}) is None


def test_each_variable_arrives_whatever_it_holds():
    found = url(host="db.example.org", port="6543", name="shop/1", user="a:b", password="p@s/s%", sslmode="require")
    assert {name: found[name] for name in ("host", "port", "dbname", "user", "password", "sslmode")} == {
        "host": "db.example.org",
        "port": "6543",
        "dbname": "shop/1",
        "user": "a:b",
        "password": "p@s/s%",
        "sslmode": "require",
    }


def test_each_of_several_hosts_has_the_port_and_the_one_that_takes_writes_is_asked():
    found = url(host="a.example.org,b.example.org", port="6543", name="shop")
    assert (found["host"], found["port"]) == ("a.example.org,b.example.org", "6543,6543")
    assert (found["sslmode"], found["target_session_attrs"]) == ("verify-full", "read-write")
    django = postgres_settings({"POSTGRES_HOST": "a,b", "POSTGRES_NAME": "shop"})
    assert (django["HOST"], django["OPTIONS"]["target_session_attrs"]) == ("a,b", "read-write")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "/var/run/postgresql"])
def test_this_machine_needs_no_certificate(host):
    assert url(host=host, name="shop")["sslmode"] == "prefer"
    assert url(host=host, name="shop")["host"] == host


def test_another_machine_must_show_one_for_its_name():
    assert url(host="db.example.org", name="shop")["sslmode"] == "verify-full"
    assert url(host="db.example.org", name="shop", sslrootcert="/etc/ca.pem")["sslrootcert"] == "/etc/ca.pem"
    assert url(host="localhost.example.org", name="shop")["sslmode"] == "verify-full"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"POSTGRES_HOST": "db"}, "POSTGRES_NAME"),
        ({"POSTGRES_NAME": "shop", "POSTGRES_PORT": "x"}, "POSTGRES_PORT=x"),
        ({"POSTGRES_NAME": "shop", "POSTGRES_PORT": "70000"}, "POSTGRES_PORT"),
        ({"POSTGRES_NAME": "shop", "POSTGRES_SSLMODE": "on"}, "POSTGRES_SSLMODE=on"),
    ],
)
def test_what_cannot_be_is_named(given, said):
    with pytest.raises(ConfigError, match=said):
        postgres_url(given)


def test_a_password_is_not_shown_by_a_wrong_neighbour():
    with pytest.raises(ConfigError) as raised:
        postgres_url({"POSTGRES_NAME": "shop", "POSTGRES_PORT": "x", "POSTGRES_PASSWORD": "s3cr3t"})
    assert "s3cr3t" not in f"{raised.value} {raised.value.hint}"
