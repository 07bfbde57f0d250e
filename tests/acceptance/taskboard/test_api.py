"""The API, the same in every phase."""

from __future__ import annotations

from typing import Any

from tests.acceptance.taskboard.system import PASSWORD, Person, Taskboard
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS


def member(app: Taskboard, admin: Person, *permissions: str) -> Person:
    """Make somebody who has logged in, with a role that allows this."""
    person = Person(app)
    new = {"emailId": person.email, "name": "Somebody", "password": PASSWORD}
    id_ = admin.post("v1/users", new)["id"]
    role = admin.post("v1/roles", {"name": f"role of {person.email}", "permissions": [*permissions]})
    admin.put(f"v1/users/{id_}/roles", {"roleIds": [role["id"]]})
    return person.log_in()


def test_a_task_lives(alike):
    def scenario(app: Taskboard, admin: Person) -> None:
        label = admin.post("v1/labels", {"name": "bug", "color": "#d73a4a"})
        new = {
            "title": "Write it down",
            "priority": "HIGH",
            "labels": [label["id"]],
            "due": "2027-01-01T10:00:00.123456+02:00",
        }
        task = admin.post("v1/tasks", new)
        assert task["due"] == "2027-01-01T08:00:00.123Z"
        assert (task["status"], task["assignee"], task["createdBy"]) == ("TODO", None, admin.id)
        assert admin.get(f"v1/tasks/{task['id']}") == task
        changed = admin.patch(f"v1/tasks/{task['id']}", {"status": "DONE", "assignee": admin.id, "labels": []})
        assert {
            **task,
            "status": "DONE",
            "assignee": admin.id,
            "labels": [],
            "updatedAt": changed["updatedAt"],
        } == changed
        given = admin.get(f"v1/tasks/{task['id']}/assignments")["items"]
        assert [(one["userId"], one["assignedBy"]) for one in given] == [(admin.id, admin.id)]
        rests = {"until": "2027-02-01T00:00:00Z", "reason": "later"}
        deferred = admin.put(f"v1/tasks/{task['id']}/deferred", rests)["deferred"]
        assert deferred == {"until": "2027-02-01T00:00:00.000Z", "reason": "later", "by": admin.id}
        assert admin.get("v1/tasks?deferred=true")["items"][-1]["id"] == task["id"]
        assert admin.ask("DELETE", f"v1/tasks/{task['id']}/deferred", status=200)["deferred"] is None
        admin.delete(f"v1/tasks/{task['id']}")
        admin.get(f"v1/tasks/{task['id']}", 404)
        admin.delete(f"v1/tasks/{task['id']}", 404)

    alike(scenario)


def test_lists_are_filtered_sorted_and_paged(alike):
    def scenario(app: Taskboard, admin: Person) -> None:
        who = member(app, admin, "tasks.read", "tasks.write")
        titles = ["b", "B", "a", "ä", "%", "b"]
        ids = [
            who.post("v1/tasks", {"title": title, "priority": ["LOW", "HIGH"][n % 2]})["id"]
            for n, title in enumerate(titles)
        ]

        def listed(query: str) -> list[str]:
            return [one["title"] for one in who.get(f"v1/tasks?createdBy={who.id}&{query}")["items"]]

        assert listed("sort=title") == ["%", "B", "a", "b", "b", "ä"]
        assert listed("sort=-title&limit=2&offset=1") == ["b", "b"]
        assert listed("priority=HIGH&sort=title") == ["B", "b", "ä"]
        assert listed("q=B") == ["b", "B", "b"]
        assert listed("q=%25") == ["%"]
        assert listed("status=DONE,BLOCKED") == []
        assert listed("assignee=none&sort=-createdAt") == titles[::-1]
        assert who.get(f"v1/tasks?createdBy={who.id}&limit=0")["total"] == 6
        assert listed("label=no-id") == []
        for wrong in ("limit=101", "limit=-1", "offset=x", "sort=description", "status=LOST"):
            who.get(f"v1/tasks?{wrong}", 422)
        assert len(set(ids)) == 6

    alike(scenario)


def test_teams_and_their_members(alike):
    def scenario(app: Taskboard, admin: Person) -> None:
        ann, bob = (member(app, admin, "teams.write") for _ in range(2))
        team = ann.post("v1/teams", {"name": "Red"})
        assert (team["createdBy"], bool(team["inviteCode"])) == (ann.id, True)
        bob.get(f"v1/teams/{team['id']}", 404)
        bob.post("v1/teams/join", {"inviteCode": "no such code"}, 404)
        for _ in range(2):
            bob.post("v1/teams/join", {"inviteCode": team["inviteCode"]}, 200)
        assert [one["id"] for one in ann.get(f"v1/teams/{team['id']}/members")["items"]] == [ann.id, bob.id]
        assert [one["id"] for one in bob.get("v1/teams")["items"]] == [team["id"]] == bob.get("v1/auth/me")["teams"]
        bob.patch(f"v1/teams/{team['id']}", {"name": "Blue"}, 403)
        bob.delete(f"v1/teams/{team['id']}/members/{ann.id}", 403)
        assert ann.patch(f"v1/teams/{team['id']}", {"name": "Blue"})["name"] == "Blue"
        ann.delete(f"v1/teams/{team['id']}/members/{bob.id}")
        ann.delete(f"v1/teams/{team['id']}/members/{bob.id}", 404)
        bob.get(f"v1/teams/{team['id']}", 404)
        ann.delete(f"v1/teams/{team['id']}")
        assert ann.get("v1/teams")["total"] == 0

    alike(scenario)


def test_tasks_of_a_team_are_its_members(alike):
    def scenario(app: Taskboard, admin: Person) -> None:
        ann, bob = (member(app, admin, "teams.write", "tasks.read", "tasks.write") for _ in range(2))
        team = ann.post("v1/teams", {"name": "Red"})
        task = ann.post("v1/tasks", {"title": "of the team", "teamId": team["id"]})["id"]
        free = ann.post("v1/tasks", {"title": "of nobody's team"})["id"]

        def listed(who: Person, query: str = "") -> list[str]:
            items = who.get(f"v1/tasks?createdBy={ann.id}&sort=createdAt{query}")["items"]
            return [one["id"] for one in items]

        def shut_out() -> None:
            assert (listed(bob), listed(bob, f"&team={team['id']}")) == ([free], [])
            bob.get(f"v1/tasks/{task}", 404)
            bob.get(f"v1/tasks/{task}/assignments", 404)
            bob.patch(f"v1/tasks/{task}", {"title": "mine"}, 404)
            bob.put(f"v1/tasks/{task}/deferred", {"until": "2030-01-01T00:00:00Z"}, 404)
            bob.delete(f"v1/tasks/{task}/deferred", 404)
            bob.delete(f"v1/tasks/{task}", 404)
            bob.post("v1/tasks", {"title": "planted", "teamId": team["id"]}, 422)
            bob.patch(f"v1/tasks/{free}", {"teamId": team["id"]}, 422)
            bob.post("v1/watchlists", {"name": "x", "tasks": [task]}, 422)

        shut_out()
        assert listed(admin) == [task, free]
        bob.post("v1/teams/join", {"inviteCode": team["inviteCode"]}, 200)
        assert (listed(bob), listed(bob, f"&team={team['id']}"), listed(bob, "&team=none")) == (
            [task, free],
            [task],
            [free],
        )
        bob.patch(f"v1/tasks/{task}", {"status": "DONE"})
        ann.delete(f"v1/teams/{team['id']}/members/{bob.id}")
        shut_out()
        bob.post("v1/teams/join", {"inviteCode": team["inviteCode"]}, 404)
        assert ann.get(f"v1/tasks/{task}")["title"] == "of the team"
        bob.post("v1/teams/join", {"inviteCode": ann.get(f"v1/teams/{team['id']}")["inviteCode"]}, 200)

    alike(scenario)


def test_people_log_in_and_may_what_their_roles_allow(alike):
    def scenario(app: Taskboard, admin: Person) -> None:
        who = member(app, admin, "tasks.read")
        assert who.get("v1/auth/me")["permissions"] == ["tasks.read"]
        assert who.post("v1/tasks", {"title": "x"}, 403)["permission"] == "tasks.write"
        who.get("v1/users", 403)
        who.get("v1/audit-logs", 403)
        admin.put(f"v1/users/{who.id}/roles", {"roleIds": []})
        who.get("v1/tasks", 403)
        assert admin.get(f"v1/users/{who.id}/roles") == {"roleIds": []}
        again = Person(app, who.email.upper()).log_in()
        who.post("v1/auth/logout", None, 204)
        who.get("v1/auth/me", 401)
        admin.patch(f"v1/users/{who.id}", {"active": False})
        again.get("v1/auth/me", 401)
        again.post("v1/auth/login", {"email": who.email, "password": PASSWORD}, 401)
        again.post("v1/auth/login", {"email": "nobody@example.org", "password": PASSWORD}, 401)
        assert "password" not in str(admin.get(f"v1/users/{who.id}")).lower()

    alike(scenario)


def test_what_is_there_already(alike):
    def scenario(app: Taskboard, admin: Person) -> None:
        name = "the same"
        first = admin.post("v1/labels", {"name": name, "color": "#000000"})
        other = admin.post("v1/labels", {"name": name + "2", "color": "#000000"})
        assert admin.post("v1/labels", {"name": name, "color": "#ffffff"}, 409)["detail"].startswith(
            "there is one with this name"
        )
        admin.patch(f"v1/labels/{other['id']}", {"name": name}, 409)
        assert admin.get(f"v1/labels/{other['id']}") == other
        admin.delete(f"v1/labels/{first['id']}")
        assert admin.patch(f"v1/labels/{other['id']}", {"name": name})["name"] == name

    alike(scenario)


WRONG: list[tuple[str, Any]] = [
    ("v1/tasks", b"{"),
    ("v1/tasks", {}),
    ("v1/tasks", {"title": ""}),
    ("v1/tasks", {"title": "nul\0"}),
    ("v1/tasks", {"title": "x", "status": "LOST"}),
    ("v1/tasks", {"title": "x", "assignee": "no id"}),
    ("v1/tasks", {"title": "x", "assignee": "0" * 24}),
    ("v1/tasks", {"title": "x", "labels": ["0" * 24]}),
    ("v1/tasks", {"title": "x", "due": "tomorrow"}),
    ("v1/tasks", {"title": "x", "due": "9999-12-31T23:59:59-01:00"}),
    ("v1/tasks", {"title": "x", "due": "2027-01-01T00:00:00"}),
    ("v1/tasks", {"title": "x", "unknown": 1}),
    ("v1/users", {"emailId": "no address", "name": "x", "password": PASSWORD}),
    ("v1/users", {"emailId": "a@example.org", "name": "x", "password": "short"}),
    ("v1/labels", {"name": "x", "color": "red"}),
    ("v1/roles", {"name": "x", "permissions": ["everything"]}),
    ("v1/watchlists", {"name": "x", "tasks": ["0" * 24]}),
]


def test_what_is_not_valid_is_a_problem_that_names_the_place(alike):
    def scenario(app: Taskboard, admin: Person) -> None:
        before = admin.get("v1/tasks")["total"]
        for path, body in WRONG:
            problem = admin.post(path, body, 422)
            assert problem.keys() >= {"type", "title", "status", "detail"}, (path, body)
        assert admin.get("v1/tasks")["total"] == before
        for path in ("v1/nothing", "v1/tasks/no-id", "v1/users/" + "0" * 24):
            assert admin.get(path, 404)["status"] == 404
        assert admin.put("v1/tasks", {}, 405)["title"] == "Method Not Allowed"
        Person(app).get("v1/tasks", 401)

    alike(scenario)


def test_watchlists_are_ones_own(alike):
    def scenario(app: Taskboard, admin: Person) -> None:
        ann, bob = (member(app, admin, "tasks.read", "tasks.write") for _ in range(2))
        tasks = [ann.post("v1/tasks", {"title": str(number)})["id"] for number in range(3)]
        watchlist = ann.post("v1/watchlists", {"name": "mine", "tasks": tasks[:2]})
        assert watchlist["tasks"] == tasks[:2]
        assert ann.patch(f"v1/watchlists/{watchlist['id']}", {"tasks": tasks[::-1]})["tasks"] == tasks[::-1]
        bob.get(f"v1/watchlists/{watchlist['id']}", 404)
        assert bob.get("v1/watchlists")["items"] == []
        bob.delete(f"v1/watchlists/{watchlist['id']}", 404)
        ann.delete(f"v1/watchlists/{watchlist['id']}")

    alike(scenario)


def test_what_is_done_is_in_the_audit_log(alike):
    def scenario(app: Taskboard, admin: Person) -> None:
        task = admin.post("v1/tasks", {"title": "noted"})
        admin.patch(f"v1/tasks/{task['id']}", {"status": "DONE"})
        admin.delete(f"v1/tasks/{task['id']}")
        found = admin.get(f"v1/audit-logs?document={task['id']}")["items"]
        assert [one["action"] for one in found] == ["task.deleted", "task.changed", "task.created"]
        assert found[1]["changes"] == {"status": "DONE"}
        assert {one["userId"] for one in found} == {admin.id}

    alike(scenario)
