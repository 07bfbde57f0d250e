-- Where CockroachDB differs: its parked keys are unique as they are. (The lock of `held` takes nothing there, and need not:
-- every transaction is serializable.)

-- name: unique_key
{}
