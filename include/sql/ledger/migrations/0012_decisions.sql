-- What the code decides by is a column or a table; what was read from events until now is filled in from them. And the
-- files that CASA is given are called submitted, as everywhere else.

ALTER TABLE given_file RENAME TO submitted_file;
ALTER TABLE submitted_file RENAME CONSTRAINT given_file_pkey TO submitted_file_pkey;
ALTER TABLE submitted_file RENAME CONSTRAINT given_file_pipeline_run_id_fkey TO submitted_file_pipeline_run_id_fkey;
ALTER TABLE submitted_file RENAME CONSTRAINT given_file_name_check TO submitted_file_name_check;
ALTER TABLE submitted_file RENAME CONSTRAINT given_file_sha256_check TO submitted_file_sha256_check;
ALTER TABLE event DISABLE TRIGGER event_is_append_only;
UPDATE event
SET event = 'submitted_file_edited',
    details = (details - 'sha256_given') || jsonb_build_object('sha256_submitted', details -> 'sha256_given')
WHERE event = 'given_file_edited';
ALTER TABLE event ENABLE TRIGGER event_is_append_only;

-- Runs

ALTER TABLE pipeline_run
    ADD COLUMN engine text,
    ADD COLUMN mous jsonb,
    ADD COLUMN is_proved boolean,
    ADD COLUMN left_pipeline_at timestamptz,
    ADD COLUMN rejected_at timestamptz;
COMMENT ON COLUMN pipeline_run.engine IS 'What runs its CASA jobs; NULL: it was opened when there was one engine only.';
COMMENT ON COLUMN pipeline_run.mous IS 'What the archive had about its MOUS when it was opened; NULL for an execution block.';
COMMENT ON COLUMN pipeline_run.is_proved IS 'Whether what CASA left was proved complete; NULL: it was not judged.';
COMMENT ON COLUMN pipeline_run.left_pipeline_at IS 'When it was delivered, or had failed before; NULL until then.';
COMMENT ON COLUMN pipeline_run.rejected_at IS 'When it failed QA; NULL if it did not.';
UPDATE pipeline_run SET engine = (
    SELECT details ->> 'engine' FROM event
    WHERE event.pipeline_run_id = pipeline_run.pipeline_run_id AND event = 'engine_chosen' ORDER BY sequence LIMIT 1);
UPDATE pipeline_run SET mous = (
    SELECT details -> 'mous' FROM event
    WHERE event.pipeline_run_id = pipeline_run.pipeline_run_id AND event = 'mous_read' ORDER BY sequence LIMIT 1);
UPDATE pipeline_run SET is_proved = (
    SELECT (details ->> 'proved')::boolean FROM event
    WHERE event.pipeline_run_id = pipeline_run.pipeline_run_id AND event = 'judged' ORDER BY sequence DESC LIMIT 1);
UPDATE pipeline_run SET left_pipeline_at = (
    SELECT max(happened_at) FROM event
    WHERE event.pipeline_run_id = pipeline_run.pipeline_run_id
        AND state_before IN ('created', 'fetching', 'processing')
        AND (state_after IS NULL OR state_after NOT IN ('created', 'fetching', 'processing')));
UPDATE pipeline_run SET rejected_at = (
    SELECT max(happened_at) FROM event
    WHERE event.pipeline_run_id = pipeline_run.pipeline_run_id AND state_after = 'rejected');

CREATE OR REPLACE VIEW run AS
SELECT
    pipeline_run_id, request_id, kind, subject, digest AS request_digest, project, locator, version, state, dag_id,
    dag_run_id, requested_by, recipe, cores, memory_gb, failure, ppr_sha256, lowest_score, scores,
    pipeline_run.created_at, state_since, former_run, casa_release, asked, directory_token, engine, mous, is_proved,
    left_pipeline_at, rejected_at
FROM pipeline_run JOIN request USING (request_id);

-- Requests

ALTER TABLE request ADD COLUMN reopened_from timestamptz;
COMMENT ON COLUMN request.reopened_from IS
    'Since when it was sealed before it was reopened; NULL if it was not, or if a run of it was archived since.';
UPDATE request SET reopened_from = (
    SELECT CASE event WHEN 'request_reopened' THEN (details ->> 'sealed_at')::timestamptz END
    FROM event JOIN pipeline_run USING (pipeline_run_id)
    WHERE pipeline_run.request_id = request.request_id AND event IN ('request_reopened', 'archived')
    ORDER BY sequence DESC
    LIMIT 1);

-- Jobs

CREATE TABLE casa_job (
    pipeline_run_id text NOT NULL REFERENCES pipeline_run,
    number integer NOT NULL CHECK (number > 0),
    job jsonb NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline_run_id, number)
);
CREATE UNIQUE INDEX casa_job_once ON casa_job (pipeline_run_id, md5(job::text));
COMMENT ON TABLE casa_job IS 'The CASA jobs that were asked for: what an engine has is compared with the last one.';
INSERT INTO casa_job (pipeline_run_id, number, job, asked_at)
SELECT pipeline_run_id, row_number() OVER (PARTITION BY pipeline_run_id ORDER BY sequence), details, happened_at
FROM (
    SELECT DISTINCT ON (pipeline_run_id, details) pipeline_run_id, details, happened_at, sequence
    FROM event WHERE event = 'casa_asked' ORDER BY pipeline_run_id, details, sequence
) AS asked;

-- Verdicts

ALTER TABLE ingest ADD COLUMN metadata_begun_at timestamptz;
COMMENT ON COLUMN ingest.metadata_begun_at IS 'From when on the archive''s database may have been written.';
UPDATE ingest SET metadata_begun_at = (
    SELECT min(happened_at) FROM event
    WHERE event.pipeline_run_id = ingest.pipeline_run_id AND event = 'metadata_begun'
        AND (details ->> 'number')::integer = ingest.number);

CREATE TABLE verdict_change (
    pipeline_run_id text NOT NULL REFERENCES pipeline_run,
    number integer NOT NULL CHECK (number > 0),
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL,
    changes text[] NOT NULL,
    dag_id text,
    dag_run_id text,
    written_at timestamptz,
    PRIMARY KEY (pipeline_run_id, number)
);
COMMENT ON TABLE verdict_change IS 'Other verdicts on runs that are archived.';
COMMENT ON COLUMN verdict_change.written_at IS 'When the archive had this change, or a later one; the run is not removed before.';
CREATE INDEX verdict_change_due ON verdict_change (pipeline_run_id) WHERE written_at IS NULL;
INSERT INTO verdict_change (pipeline_run_id, number, changed_at, changed_by, changes, dag_id, dag_run_id)
SELECT
    pipeline_run_id, row_number() OVER (PARTITION BY pipeline_run_id ORDER BY sequence), happened_at,
    coalesce(details ->> 'given_by', details ->> 'by', ''),
    -- Events of an older release have the flags alone.
    CASE
        WHEN jsonb_typeof(details -> 'changes') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(details -> 'changes'))
        ELSE ARRAY[format('QA flag: from %s to %s', details ->> 'from', details ->> 'to')]
    END,
    details ->> 'dag_id', details ->> 'dag_run_id'
FROM event
WHERE event = 'verdict_changed';
UPDATE verdict_change SET written_at = (
    SELECT min(happened_at) FROM event
    WHERE event.pipeline_run_id = verdict_change.pipeline_run_id AND event = 'changed_verdict_written'
        AND (details ->> 'number')::integer >= verdict_change.number);
DROP INDEX event_of_verdict;

CREATE TABLE assignment_confirmation (
    pipeline_run_id text NOT NULL,
    answer text NOT NULL,
    number integer NOT NULL,
    confirmed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline_run_id, answer),
    FOREIGN KEY (pipeline_run_id, number) REFERENCES assignment
);
COMMENT ON TABLE assignment_confirmation IS 'Answers that gave a run to whom it was given already.';
INSERT INTO assignment_confirmation (pipeline_run_id, answer, number, confirmed_at)
SELECT DISTINCT ON (pipeline_run_id, details ->> 'answer')
    pipeline_run_id, details ->> 'answer', (details ->> 'number')::integer, happened_at
FROM event
WHERE event = 'assignment_confirmed'
ORDER BY pipeline_run_id, details ->> 'answer', sequence;

-- Marks in the archive

CREATE TABLE execution_block_mark (
    pipeline_run_id text PRIMARY KEY REFERENCES pipeline_run,
    settled_at timestamptz,
    kept_because text,
    set_back_at timestamptz
);
COMMENT ON TABLE execution_block_mark IS 'What a run did to the status of its execution block in the archive, besides its ingest.';
COMMENT ON COLUMN execution_block_mark.settled_at IS 'When it was marked because the run had failed QA, or was left as it is.';
COMMENT ON COLUMN execution_block_mark.kept_because IS 'Why it was left as it is; NULL if it was marked.';
COMMENT ON COLUMN execution_block_mark.set_back_at IS 'When this run, a rerun, had set back the mark of a former one.';
INSERT INTO execution_block_mark (pipeline_run_id, settled_at, kept_because, set_back_at)
SELECT
    pipeline_run_id,
    min(happened_at) FILTER (WHERE event IN ('marked_do_not_calibrate', 'calibration_status_kept')),
    min(details ->> 'why') FILTER (WHERE event = 'calibration_status_kept'),
    max(happened_at) FILTER (WHERE event = 'execution_block_set_back')
FROM event
WHERE event IN ('marked_do_not_calibrate', 'calibration_status_kept', 'execution_block_set_back')
GROUP BY pipeline_run_id;

-- Removals

CREATE TABLE expiry (
    pipeline_run_id text NOT NULL REFERENCES pipeline_run,
    what text NOT NULL CHECK (what IN ('directory', 'measurement set')),
    dag_run_id text NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    subject text NOT NULL,
    since timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    size_bytes bigint NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline_run_id, what, dag_run_id)
);
COMMENT ON TABLE expiry IS 'Removals that DAG runs have begun because something had expired.';
CREATE INDEX expiry_of_dag_run ON expiry (dag_run_id);
INSERT INTO expiry (pipeline_run_id, what, dag_run_id, kind, subject, since, expires_at, size_bytes, begun_at)
SELECT
    pipeline_run_id, what, dag_run_id, details ->> 'kind', details ->> 'subject',
    -- Of what was begun before this was recorded, it is not known.
    coalesce(details ->> 'since', details ->> 'expires_at')::timestamptz, (details ->> 'expires_at')::timestamptz,
    (details ->> 'size_bytes')::bigint, happened_at
FROM (
    SELECT DISTINCT ON (pipeline_run_id, event, details ->> 'dag_run_id')
        pipeline_run_id, details ->> 'dag_run_id' AS dag_run_id, details, happened_at, sequence,
        CASE event WHEN 'expiring' THEN 'directory' ELSE 'measurement set' END AS what
    FROM event
    WHERE event IN ('expiring', 'cached_measurement_set_expiring')
    ORDER BY pipeline_run_id, event, details ->> 'dag_run_id', sequence
) AS begun
ORDER BY sequence;
DROP INDEX event_of_dag_run;

CREATE TABLE own_files_notice (
    pipeline_run_id text NOT NULL REFERENCES pipeline_run,
    digest text NOT NULL,
    named_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline_run_id, digest)
);
COMMENT ON TABLE own_files_notice IS 'Since when people know that their own files in a run''s directory are in the way of its removal.';
INSERT INTO own_files_notice (pipeline_run_id, digest, named_at)
SELECT pipeline_run_id, details ->> 'digest', min(happened_at)
FROM event
WHERE event = 'own_files_named' AND details ->> 'digest' IS NOT NULL
GROUP BY 1, 2;
