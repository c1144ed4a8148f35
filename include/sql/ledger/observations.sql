-- New execution blocks, and what was decided about each.

-- name: observations_watch_begin
-- Only the first start counts; no row is returned if there was one before.
INSERT INTO observation_watch (name, first_started_at, watermark)
VALUES (%(name)s, %(first_started_at)s, %(watermark)s)
ON CONFLICT (name) DO NOTHING
RETURNING name

-- name: observations_watch_read
SELECT first_started_at, watermark FROM observation_watch WHERE name = %(name)s

-- name: observations_watch_lock
-- Two at once take turns.
SELECT first_started_at, watermark FROM observation_watch WHERE name = %(name)s FOR UPDATE

-- name: observations_watch_move
UPDATE observation_watch SET watermark = greatest(watermark, %(watermark)s) WHERE name = %(name)s

-- name: observations_record
-- A decision is made once. The backlog alone may take up what was left alone as history: it names that reason.
INSERT INTO observation (eb_name, locator, ingested_at, decision, reason)
VALUES (%(eb_name)s, %(locator)s, %(ingested_at)s, %(decision)s, %(reason)s)
ON CONFLICT (eb_name) DO UPDATE SET decision = excluded.decision, reason = excluded.reason, noticed_at = now()
    WHERE observation.reason = %(replaced_reason)s
RETURNING eb_name

-- name: observations_decided
-- Which of these SDMs have a decision, and why it was made.
SELECT eb_name, reason FROM observation WHERE eb_name = ANY(%(names)s)

-- name: observations_existing_runs
-- The newest pipeline run that was made for each of these execution blocks, by hand say.
SELECT DISTINCT ON (subject) subject, pipeline_run_id
FROM pipeline_run JOIN request USING (request_id)
WHERE kind = %(kind)s AND subject = ANY(%(names)s)
ORDER BY subject, version DESC

-- name: observations_to_start
-- The oldest of what was decided to be calibrated, is not known to have been started, and has no run yet.
SELECT eb_name FROM observation
WHERE decision = 'calibrate' AND started_at IS NULL
    AND NOT EXISTS (
        SELECT FROM pipeline_run JOIN request USING (request_id) WHERE kind = %(kind)s AND subject = eb_name
    )
ORDER BY ingested_at, eb_name
LIMIT %(places)s

-- name: observations_under_way
-- How many calibrations are under way to their delivery, and how many were started a moment ago and have no run yet.
-- What has none for long was refused, or waits for something that is away: it keeps no place.
SELECT
    (
        SELECT count(*) FROM pipeline_run JOIN request USING (request_id)
        WHERE kind = %(kind)s AND state IN ('created', 'fetching', 'processing')
    ) + (
        SELECT count(*) FROM observation
        WHERE decision = 'calibrate' AND started_at > now() - %(minutes)s * interval '1 minute'
            AND NOT EXISTS (
                SELECT FROM pipeline_run JOIN request USING (request_id) WHERE kind = %(kind)s AND subject = eb_name
            )
    ) AS under_way

-- name: observations_backlog_started
-- How many of the backlog were started in the last 24 hours, or are about to be.
SELECT count(*) AS started FROM observation
WHERE decision = 'calibrate' AND ingested_at <= %(first_started_at)s
    AND (started_at IS NULL OR started_at > now() - interval '24 hours')

-- name: observations_begun
-- What was decided and has a run already, because somebody started it by hand, or a task was killed before it recorded that.
UPDATE observation SET started_at = run.created_at, dag_run_id = run.dag_run_id
FROM pipeline_run AS run JOIN request USING (request_id)
WHERE decision = 'calibrate' AND started_at IS NULL AND kind = %(kind)s AND subject = eb_name AND version = 1

-- name: observations_started
UPDATE observation SET started_at = now(), dag_run_id = %(dag_run_id)s
WHERE eb_name = %(eb_name)s AND started_at IS NULL

-- name: observations_waiting
-- How many calibrations were decided and are not started.
SELECT count(*) AS waiting FROM observation WHERE decision = 'calibrate' AND started_at IS NULL
