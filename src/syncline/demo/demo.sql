-- Everything that the demo says to PostgreSQL: its small schema, what its users do, what it counts.
-- Parameters are psycopg's; `psql` reads the rest as it stands.

-- name: schema
CREATE TYPE difficulty AS ENUM ('easy', 'medium', 'hard');
CREATE TABLE users (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email        text NOT NULL UNIQUE,
    username     text NOT NULL,
    total_points integer NOT NULL DEFAULT 0,
    balance      numeric(10, 2) NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE todos (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    title      text NOT NULL,
    difficulty difficulty NOT NULL DEFAULT 'easy',
    completed  boolean NOT NULL DEFAULT false,
    due        date,
    tags       text[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON todos (user_id);
CREATE TABLE steps (
    todo_id  bigint NOT NULL REFERENCES todos ON DELETE CASCADE,
    position integer NOT NULL,
    text     text NOT NULL,
    done     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (todo_id, position)
);
COMMENT ON TABLE steps IS 'The steps of a todo: an array in its document.';
CREATE TABLE messages (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sender_id   uuid REFERENCES users ON DELETE CASCADE,
    receiver_id uuid REFERENCES users ON DELETE CASCADE,
    body        text NOT NULL,
    sent_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON messages (sender_id);
CREATE INDEX ON messages (receiver_id);

-- name: seed
-- What is there before the traffic begins.
INSERT INTO users (email, username, total_points)
SELECT 'user' || n || '@example.com', 'user' || n, n % 500 FROM generate_series(1, 1000) AS n;
INSERT INTO todos (user_id, title, difficulty, tags)
SELECT id, 'Read chapter ' || n, 'medium', ARRAY['reading', 'week ' || n] FROM users, generate_series(1, 3) AS n;
INSERT INTO steps (todo_id, position, text) SELECT id, n, 'Step ' || n FROM todos, generate_series(1, 2) AS n;
INSERT INTO messages (sender_id, receiver_id, body)
SELECT id, lag(id) OVER (ORDER BY id), 'Hello, ' || username || '!' FROM users, generate_series(1, 2);
ANALYZE users, todos, steps, messages;

-- name: create_user
INSERT INTO users (email, username, balance)
VALUES (gen_random_uuid() || '@example.com', 'student', (random() * 1000)::numeric(10, 2))

-- name: create_todo
WITH owner AS (SELECT id FROM users WHERE id >= gen_random_uuid() ORDER BY id LIMIT 1),
     todo AS (INSERT INTO todos (user_id, title, due, tags)
              SELECT id, 'Solve ten problems', current_date + 7, ARRAY['mathematics'] FROM owner RETURNING id)
INSERT INTO steps (todo_id, position, text) SELECT id, n, 'Problem ' || n FROM todo, generate_series(1, 3) AS n

-- name: some_todo
SELECT id, user_id FROM todos WHERE id >= floor(random() * (SELECT max(id) FROM todos)) ORDER BY id LIMIT 1

-- name: add_point
UPDATE users SET total_points = total_points + 1 WHERE id = %(user)s

-- name: complete_todo
UPDATE todos SET completed = true, updated_at = now() WHERE id = %(todo)s

-- name: rename_todo
UPDATE todos SET title = 'Solve twenty problems', difficulty = 'hard', updated_at = now() WHERE id = %(todo)s

-- name: finish_step
UPDATE steps SET done = NOT done WHERE todo_id = %(todo)s AND position = 1

-- name: add_step
INSERT INTO steps (todo_id, position, text)
SELECT t.id, coalesce((SELECT max(position) FROM steps WHERE todo_id = t.id), 0) + 1, 'One more'
FROM todos AS t WHERE t.id = %(todo)s
ON CONFLICT DO NOTHING

-- name: move_step
-- The step leaves one document and enters another.
UPDATE steps SET todo_id = t.id, position = 100 + (random() * 1000000)::integer
FROM (SELECT id FROM todos WHERE id > %(todo)s ORDER BY id LIMIT 1) AS t
WHERE steps.todo_id = %(todo)s AND steps.position = (SELECT max(position) FROM steps WHERE todo_id = %(todo)s)

-- name: delete_todo
DELETE FROM todos WHERE id = %(todo)s

-- name: send_message
INSERT INTO messages (sender_id, receiver_id, body)
SELECT id, lead(id) OVER (ORDER BY id), 'See you in the library' FROM (
    SELECT id FROM users WHERE id >= gen_random_uuid() ORDER BY id LIMIT 2) AS two

-- name: delete_messages
DELETE FROM messages WHERE id IN (
    SELECT id FROM messages WHERE id >= floor(random() * (SELECT max(id) FROM messages)) AND body <> 'probe' ORDER BY id LIMIT 2)

-- name: some_user
SELECT id, email FROM users WHERE id >= gen_random_uuid() ORDER BY id LIMIT 1

-- name: delete_user
-- Takes their todos, steps and messages along.
DELETE FROM users WHERE id = %(user)s

-- name: return_user
-- The same e-mail under another key: a unique value moves from one record to another.
INSERT INTO users (email, username) VALUES (%(email)s, 'student, again')

-- name: take_email
-- Always refused: the address is taken.
INSERT INTO users (email, username) SELECT email, 'impostor' FROM users LIMIT 1

-- name: bulk_update
UPDATE todos SET difficulty = 'medium', updated_at = now()
WHERE id IN (SELECT id FROM todos WHERE id >= floor(random() * (SELECT max(id) FROM todos)) ORDER BY id LIMIT 300 FOR UPDATE)

-- name: bulk_delete
DELETE FROM messages WHERE id IN (
    SELECT id FROM messages WHERE id >= floor(random() * (SELECT max(id) FROM messages)) AND body <> 'probe' ORDER BY id LIMIT 100)

-- name: burst
INSERT INTO messages (body) SELECT 'Announcement ' || n FROM generate_series(1, %(rows)s::integer) AS n

-- name: probe
-- In autocommit: when it returns, it is committed.
INSERT INTO messages (body) VALUES ('probe') RETURNING id
