-- Before what is missing of our schema is put back.

-- name: remembered
-- (Another tool may have dropped the column, too.)
DO $$
BEGIN
    UPDATE syncline.entity SET state = 'rearming' WHERE state = 'armed';
EXCEPTION WHEN undefined_column THEN
    NULL;
END $$

-- name: open_again
-- `resolved_at` is back and empty: nobody knows which notices were open. Of one name and subject only the newest can have
-- been; what workers judge they end within seconds where it is over, and a resync that is over has another name.
UPDATE syncline.notice AS n SET resolved_at = clock_timestamp()
WHERE n.resolved_at IS NULL
  AND (n.severity = 'info' AND n.name <> 'ResyncRunning'
       OR EXISTS (SELECT FROM syncline.notice AS later
                  WHERE later.name = n.name AND later.id > n.id
                    AND (later.entity = n.entity OR n.entity IS NULL AND later.entity IS NULL AND later.message = n.message))
       OR n.name IN ('Diverged', 'VerifyFailed')
          AND EXISTS (SELECT FROM syncline.certificate AS c JOIN syncline.entity AS e ON e.id = c.entity
                      WHERE e.name = n.entity AND c.verdict = 'equal' AND c.finished_at > n.at))
