-- The verdict on a run: reruns, ingests into the archive, what is kept and for how long.

ALTER TABLE pipeline_run
    ADD COLUMN former_run text REFERENCES pipeline_run,
    ADD COLUMN casa_release text NOT NULL DEFAULT 'default'
        CHECK (casa_release ~ '^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$');
COMMENT ON COLUMN pipeline_run.former_run IS 'The run that this one repeats with other files; NULL for a first run.';
COMMENT ON COLUMN pipeline_run.casa_release IS 'Which of the CASA installations of the settings it runs in.';

CREATE TABLE given_file (
    pipeline_run_id text NOT NULL REFERENCES pipeline_run,
    name text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    source text NOT NULL,
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    content bytea NOT NULL,
    PRIMARY KEY (pipeline_run_id, name)
);
COMMENT ON TABLE given_file IS 'The PPR and the analyst''s files of a run, byte for byte, as CASA is given them.';

CREATE TABLE ingest (
    pipeline_run_id text NOT NULL REFERENCES pipeline_run,
    number integer NOT NULL CHECK (number > 0),
    claimed_at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 1,
    dag_id text NOT NULL,
    dag_run_id text NOT NULL,
    requested_by text NOT NULL,
    qa_flag text NOT NULL CHECK (qa_flag IN ('Pass', 'Fail', 'Null')),
    verdict jsonb NOT NULL,
    committed_at timestamptz,
    withdrawn_at timestamptz,
    PRIMARY KEY (pipeline_run_id, number)
);
COMMENT ON TABLE ingest IS 'A verdict and the ingest into the archive that it asks for.';
COMMENT ON COLUMN ingest.claimed_at IS 'The time of the ingest, the same in every try: QA notes and names hold it.';
COMMENT ON COLUMN ingest.dag_run_id IS 'The DAG run that works on it, or did last.';
COMMENT ON COLUMN ingest.committed_at IS 'When the archive had the metadata; after that it cannot be withdrawn.';
CREATE UNIQUE INDEX ingest_one_in_force ON ingest (pipeline_run_id) WHERE withdrawn_at IS NULL;

CREATE TABLE archived_file (
    ngas_file_id text PRIMARY KEY CHECK (length(ngas_file_id) BETWEEN 1 AND 64),
    pipeline_run_id text NOT NULL,
    number integer NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    mime_type text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes > 0),
    crc32 bigint NOT NULL CHECK (crc32 BETWEEN 0 AND 4294967295),
    sent_at timestamptz,
    ngas_version integer,
    proved_at timestamptz,
    FOREIGN KEY (pipeline_run_id, number) REFERENCES ingest
);
COMMENT ON TABLE archived_file IS 'What an ingest puts into NGAS; written before the first byte is sent.';
COMMENT ON COLUMN archived_file.sent_at IS 'From when on bytes of it may have reached NGAS.';
COMMENT ON COLUMN archived_file.proved_at IS 'When NGAS had read its copy again and found it good.';
CREATE INDEX archived_file_of_ingest ON archived_file (pipeline_run_id, number);

CREATE TABLE product_file (
    pipeline_run_id text NOT NULL,
    number integer NOT NULL,
    path text NOT NULL,
    size_bytes bigint NOT NULL,
    crc32 bigint NOT NULL,
    PRIMARY KEY (pipeline_run_id, number, path),
    FOREIGN KEY (pipeline_run_id, number) REFERENCES ingest
);
COMMENT ON TABLE product_file IS 'What lay in products/ when it was packed for the archive.';

CREATE TABLE reindex_request (
    reindex_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline_run_id text NOT NULL REFERENCES pipeline_run,
    key text NOT NULL,
    project text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    last_error text,
    done_at timestamptz,
    UNIQUE (pipeline_run_id, key)
);
COMMENT ON TABLE reindex_request IS 'The outbox of what the archive is asked: to index a project again.';
CREATE INDEX reindex_due ON reindex_request (next_attempt_at, reindex_id) WHERE done_at IS NULL;

CREATE TABLE cached_measurement_set (
    pipeline_run_id text PRIMARY KEY REFERENCES pipeline_run,
    path text NOT NULL,
    cached_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    removed_at timestamptz
);
COMMENT ON TABLE cached_measurement_set IS 'Calibrated measurement sets that are kept for users for a while.';

CREATE TABLE retention (
    kind text PRIMARY KEY CHECK (kind ~ '^[a-z][a-z0-9_]{0,63}$'),
    days integer NOT NULL CHECK (days >= 0),
    set_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE retention IS 'The retention that is in force: what the text file said when it was last right.';
