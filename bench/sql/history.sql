-- A ledger of %(runs)s runs: the last hundred are in every state, in turn; all before them are cleaned up.
CREATE TEMPORARY TABLE past AS
SELECT
    n,
    'vla-' || to_char(timestamp '2020-01-01' + n * interval '1 minute', 'YYYYMMDD-HH24MISS') || '-'
        || lpad(to_hex(n %% 65536), 4, '0') AS id,
    now() - (%(runs)s - n) * interval '5 minutes' AS at,
    CASE WHEN n <= %(runs)s - 100 THEN 'cleaned' ELSE (ARRAY[
        'created', 'fetching', 'processing', 'awaiting_qa', 'failed', 'cancelled', 'ingesting', 'ingest_failed',
        'archived', 'superseded', 'rejected', 'cleaning', 'cleaned'])[1 + n %% 13] END AS state
FROM generate_series(1, %(runs)s) AS n;

INSERT INTO request (kind, subject, project, locator, created_at)
SELECT 'vla_calibration', 'subject-' || n, 'project-' || n / 20, 'uid://evla/execblock/' || n, at FROM past ORDER BY n;

INSERT INTO pipeline_run (
    pipeline_run_id, request_id, version, state, dag_id, dag_run_id, requested_by, recipe, cores, memory_gb, failure,
    ppr_sha256, lowest_score, scores, created_at, state_since, former_run)
SELECT
    id, request_id, 1, state, 'vla_calibration', 'run-' || n, 'somebody', 'hifv_calimage', 8, 64,
    CASE WHEN n %% 10 = 0 THEN 'CASA ended with exit code 1.' END, repeat('0123456789abcdef', 4), 0.9,
    jsonb_build_array(jsonb_build_object('stage', 1, 'name', 'hifv_importdata', 'score', 1.0, 'reason', 'All well')),
    at, at, CASE WHEN n %% 10 = 0 THEN lag(id) OVER (ORDER BY n) END
FROM past JOIN request ON subject = 'subject-' || n
ORDER BY n;

INSERT INTO event (event_id, pipeline_run_id, happened_at, event, details, state_before, state_after)
SELECT
    gen_random_uuid(), id, at, (ARRAY[
        'created', 'begun', 'fetched', 'casa_started', 'casa_ended', 'delivered', 'assigned', 'ingesting', 'archived',
        CASE WHEN n %% 20 = 0 THEN 'verdict_changed' WHEN n %% 20 = 1 THEN 'rejected' ELSE 'expired' END])[number],
    jsonb_build_object('dag_run_id', 'run-' || n, 'number', 1), 'processing', state
FROM past CROSS JOIN generate_series(1, 10) AS number
ORDER BY n, number;

INSERT INTO casa_attempt (
    pipeline_run_id, attempt, job_name, host, started_at, ended_at, exit_code, peak_memory_bytes, casa_version)
SELECT id, 1, id, 'node-1', at, CASE WHEN state <> 'processing' THEN at END, 0, 1000000000, '6.6.1' FROM past;

INSERT INTO fetched_file (pipeline_run_id, path, size_bytes, crc32, ngas_file_id, ngas_version, mtime_ns)
SELECT id, 'ASDMBinary/' || number, 108677120, 1848259250, 'uid____evla_bdf_' || number, 1, 0
FROM past CROSS JOIN generate_series(1, 10) AS number;

INSERT INTO outbox (
    kind, pipeline_run_id, key, message_id, sender, recipients, pending, subject, body_text, body_html, queued_at, done_at)
SELECT
    'mail', id, 'mail-' || number, id || '-' || number, 'srdp@example.org', '{analyst@example.org}',
    CASE WHEN n = %(runs)s AND number = 4 THEN '{analyst@example.org}'::text[] ELSE '{}' END, 'A run', repeat('text ', 100),
    repeat('<p>text</p>', 100), at, CASE WHEN n < %(runs)s OR number < 4 THEN at END
FROM past CROSS JOIN generate_series(1, 4) AS number;

INSERT INTO observation (eb_name, locator, ingested_at, noticed_at, decision, started_at, dag_run_id)
SELECT
    'subject-' || n, 'uid://evla/execblock/' || n, at, at, 'calibrate', CASE WHEN n < %(runs)s - 5 THEN at END, 'run-' || n
FROM past;

INSERT INTO observation_watch (name, watermark) VALUES ('vla', now());

INSERT INTO submitted_file (pipeline_run_id, name, source, sha256, content)
SELECT id, 'PPR.xml', 'template', repeat('0123456789abcdef', 4), convert_to(repeat('<PPR/>', 50), 'UTF8') FROM past;

INSERT INTO ingest (
    pipeline_run_id, number, claimed_at, dag_id, dag_run_id, requested_by, qa_flag, verdict, committed_at)
SELECT id, 1, at, 'vla_qa_pass', 'pass-' || n, 'somebody', 'Pass', '{"flag": "Pass"}', at
FROM past WHERE state IN ('cleaned', 'archived', 'ingesting', 'ingest_failed');

INSERT INTO archived_file (
    ngas_file_id, pipeline_run_id, number, kind, name, mime_type, size_bytes, crc32, sent_at, ngas_version, proved_at)
SELECT id || '-' || file, id, 1, 'calibration', 'name', 'application/x-tar', 1000000, 1, at, 1, at
FROM past JOIN ingest ON pipeline_run_id = id CROSS JOIN generate_series(1, 2) AS file;

INSERT INTO product_file (pipeline_run_id, number, path, size_bytes, crc32)
SELECT id, 1, 'products/' || file, 1000000, 1
FROM past JOIN ingest ON pipeline_run_id = id CROSS JOIN generate_series(1, 3) AS file;

INSERT INTO outbox (kind, pipeline_run_id, key, project, queued_at, done_at)
SELECT 'reindex', id, 'archived', 'project-' || n / 20, at, CASE WHEN n < %(runs)s THEN at END FROM past;

INSERT INTO cached_measurement_set (pipeline_run_id, path, cached_at, expires_at, removed_at)
SELECT id, '/cache/' || id, at, at + interval '21 days', CASE WHEN n < %(runs)s - 20 THEN at END FROM past;

INSERT INTO assignment (pipeline_run_id, number, data_analyst, assigned_by, assigned_at, answer)
SELECT id, 1, 'analyst@example.org', 'manager', at, 'answer' FROM past WHERE n %% 2 = 0;

INSERT INTO assignment_question (dag_id, dag_run_id, pipeline_run_id, asked_at, closed_at)
SELECT 'alma_assign_qa', 'question-' || n, id, at, CASE WHEN n < %(runs)s - 30 OR n %% 2 = 0 THEN at END FROM past;

INSERT INTO assignment_confirmation (pipeline_run_id, answer, number)
SELECT id, 'another answer', 1 FROM past WHERE n %% 4 = 0;

INSERT INTO casa_job (pipeline_run_id, number, job, asked_at) SELECT id, 1, jsonb_build_object('name', id), at FROM past;

INSERT INTO verdict_change (pipeline_run_id, number, changed_at, changed_by, changes, written_at)
SELECT id, 1, at, 'somebody', '{QA flag: from Null to Pass}', CASE WHEN n < %(runs)s - 30 THEN at END
FROM past WHERE n %% 20 = 0;

INSERT INTO execution_block_mark (pipeline_run_id, settled_at) SELECT id, at FROM past WHERE n %% 20 = 1;

INSERT INTO expiry (pipeline_run_id, what, dag_run_id, kind, subject, since, expires_at, size_bytes, begun_at)
SELECT id, 'directory', 'run-' || n, 'archived', 'subject-' || n, at, at, 1000000, at FROM past WHERE n %% 2 = 0;

INSERT INTO own_files_notice (pipeline_run_id, digest, named_at) SELECT id, 'digest', at FROM past WHERE n %% 10 = 0;

INSERT INTO retention (kind, days) VALUES ('vla_calibration', 30);

DROP TABLE past;
