"""What is done with all rows of an import at once, in DATA."""

from __future__ import annotations

from sqlalchemy import text

PATIENCE = text("SET LOCAL statement_timeout = '10min'")
IMPATIENCE = text("SET LOCAL lock_timeout = '1s'")

TWICE = text("""
INSERT INTO import_rejects (import_id, line, "column", message)
SELECT :import_id, line, 'to_grams', 'the same carrier, zone and weight as line ' || first
FROM (
    SELECT line, first_value(line) OVER same AS first
    FROM import_rows
    WHERE import_id = :import_id AND content IS NOT NULL
    WINDOW same AS (PARTITION BY content ->> 'carrier', content ->> 'zone', content ->> 'to_grams' ORDER BY line)
) AS found
WHERE line > first
""")

UNKNOWN_CARRIERS = text("""
INSERT INTO import_rejects (import_id, line, "column", message)
SELECT :import_id, r.line, 'carrier', 'there is no carrier ' || (r.content ->> 'carrier')
FROM import_rows AS r
WHERE r.import_id = :import_id AND r.content IS NOT NULL
AND NOT EXISTS (SELECT FROM carriers AS c WHERE c.code = r.content ->> 'carrier')
""")

REJECT = text("""
UPDATE import_rows AS r SET content = NULL
WHERE r.import_id = :import_id AND r.content IS NOT NULL
AND EXISTS (SELECT FROM import_rejects AS j WHERE j.import_id = r.import_id AND j.line = r.line)
""")

COUNT = text("""
UPDATE import_batches AS b
SET rows = (SELECT count(content) FROM import_rows AS r WHERE r.import_id = b.import_id),
    rejects = (SELECT count(DISTINCT line) FROM import_rejects AS j WHERE j.import_id = b.import_id)
WHERE b.import_id = :import_id
RETURNING rows, rejects
""")

APPLY = text("""
INSERT INTO delivery_rates (carrier_id, zone, to_grams, price, days)
SELECT c.id, r.content ->> 'zone', (r.content ->> 'to_grams')::bigint, (r.content ->> 'price')::numeric,
    (r.content ->> 'days')::bigint
FROM import_rows AS r JOIN carriers AS c ON c.code = r.content ->> 'carrier'
WHERE r.import_id = :import_id AND r.content IS NOT NULL
ORDER BY 1, 2, 3
ON CONFLICT (carrier_id, zone, to_grams) DO UPDATE SET price = excluded.price, days = excluded.days
""")
"""In the order of the key: two imports at once wait for each other, and lock each other out never."""
