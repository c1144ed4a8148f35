-- The ledger: requests, their pipeline runs, and everything that happened to them. PostgreSQL 13 or later.
-- Files in this folder are applied once each, in the order of their numbers. A file that was released is never
-- edited: what changes later is a new file.

CREATE TABLE request (
    request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,63}$'),
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 128),
    project text NOT NULL,
    locator text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sealed_at timestamptz,
    CONSTRAINT request_subject UNIQUE (kind, subject)
);
COMMENT ON TABLE request IS 'One EB to calibrate, or one MOUS to image as a user asked.';
COMMENT ON COLUMN request.sealed_at IS 'When one of its runs passed: no run is made after that until it is reopened.';

CREATE TABLE pipeline_run (
    pipeline_run_id text CONSTRAINT pipeline_run_pkey PRIMARY KEY
        CHECK (pipeline_run_id ~ '^(vla|alma)-[0-9]{8}-[0-9]{6}-[0-9a-z]{4}$'),
    request_id bigint NOT NULL REFERENCES request,
    version integer NOT NULL CHECK (version > 0),
    state text NOT NULL CHECK (state IN (
        'created', 'fetching', 'processing', 'awaiting_qa', 'failed', 'cancelled', 'ingesting', 'ingest_failed',
        'archived', 'superseded', 'rejected', 'cleaning', 'cleaned')),
    dag_id text NOT NULL,
    dag_run_id text NOT NULL,
    requested_by text NOT NULL,
    recipe text NOT NULL,
    cores integer NOT NULL CHECK (cores > 0),
    memory_gb integer NOT NULL CHECK (memory_gb > 0),
    failure text,
    ppr_sha256 text CHECK (ppr_sha256 ~ '^[0-9a-f]{64}$'),
    lowest_score double precision,
    scores jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    state_since timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pipeline_run_version UNIQUE (request_id, version),
    CONSTRAINT pipeline_run_dag_run UNIQUE (dag_id, dag_run_id)
);
COMMENT ON TABLE pipeline_run IS 'One attempt at a request: one directory, one PPR, one state.';

CREATE UNIQUE INDEX pipeline_run_one_active ON pipeline_run (request_id)
    WHERE state IN ('created', 'fetching', 'processing', 'ingesting', 'ingest_failed');
COMMENT ON INDEX pipeline_run_one_active IS 'At most one active run a request, whoever asks, however often at once.';
CREATE INDEX pipeline_run_created ON pipeline_run (created_at);

CREATE TABLE event (
    event_id uuid PRIMARY KEY,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    pipeline_run_id text NOT NULL REFERENCES pipeline_run,
    happened_at timestamptz NOT NULL DEFAULT now(),
    event text NOT NULL CHECK (length(event) BETWEEN 1 AND 100),
    details jsonb NOT NULL DEFAULT '{}',
    state_before text,
    state_after text
);
COMMENT ON TABLE event IS 'What happened, in order; rows are added and never changed.';
COMMENT ON COLUMN event.event_id IS 'Made by the writer, so that a repeated transaction writes the event once.';
CREATE INDEX event_of_run ON event (pipeline_run_id, sequence);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The table % is append-only: % is refused.', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE casa_attempt (
    pipeline_run_id text NOT NULL REFERENCES pipeline_run,
    attempt integer NOT NULL CHECK (attempt > 0),
    job_name text,
    host text,
    started_at timestamptz,
    ended_at timestamptz,
    exit_code integer,
    signal text,
    peak_memory_bytes bigint,
    casa_version text,
    pipeline_version text,
    ppr_sha256_before text,
    ppr_sha256_after text,
    PRIMARY KEY (pipeline_run_id, attempt)
);
COMMENT ON TABLE casa_attempt IS 'One start of CASA.';

CREATE TABLE fetched_file (
    pipeline_run_id text NOT NULL REFERENCES pipeline_run,
    path text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    crc32 bigint NOT NULL CHECK (crc32 BETWEEN 0 AND 4294967295),
    ngas_file_id text NOT NULL,
    ngas_version integer,
    mtime_ns bigint,
    PRIMARY KEY (pipeline_run_id, path)
);
COMMENT ON TABLE fetched_file IS 'The raw data of a run, as size and CRC proved them.';

CREATE TABLE mail (
    mail_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline_run_id text REFERENCES pipeline_run,
    key text NOT NULL,
    message_id text NOT NULL UNIQUE,
    sender text NOT NULL,
    recipients text[] NOT NULL CHECK (cardinality(recipients) > 0),
    pending text[] NOT NULL,
    subject text NOT NULL CHECK (subject !~ '[[:cntrl:]]'),
    body_text text NOT NULL,
    body_html text NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    last_error text,
    sent_at timestamptz,
    CONSTRAINT mail_of_run UNIQUE (pipeline_run_id, key)
);
COMMENT ON TABLE mail IS 'The outbox: a mail is queued by the transaction that sets the state it tells of.';
COMMENT ON COLUMN mail.pipeline_run_id IS 'NULL: it tells of a request for which no run could be opened.';
COMMENT ON COLUMN mail.pending IS 'Recipients whom the mail server has not accepted yet.';
CREATE INDEX mail_due ON mail (next_attempt_at, mail_id) WHERE sent_at IS NULL;

CREATE TABLE observation (
    eb_name text PRIMARY KEY,
    locator text NOT NULL,
    ingested_at timestamptz NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now(),
    decision text NOT NULL CHECK (decision IN ('calibrate', 'left alone')),
    reason text NOT NULL DEFAULT '',
    started_at timestamptz,
    dag_run_id text
);
COMMENT ON TABLE observation IS 'Execution blocks that the ingestion sensor noticed, and what it decided about each.';
CREATE INDEX observation_to_start ON observation (ingested_at) WHERE decision = 'calibrate' AND started_at IS NULL;

CREATE TABLE observation_watch (
    name text PRIMARY KEY,
    first_started_at timestamptz NOT NULL DEFAULT now(),
    watermark timestamptz NOT NULL
);
COMMENT ON TABLE observation_watch IS 'How far the ingestion sensor has read the archive.';
