--
-- PostgreSQL database dump
--

\restrict ledger

-- Dumped from database version 16.14
-- Dumped by pg_dump version 16.14

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: refuse_change(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'The table % is append-only: % is refused.', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: archived_file; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.archived_file (
    ngas_file_id text NOT NULL,
    pipeline_run_id text NOT NULL,
    number integer NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    mime_type text NOT NULL,
    size_bytes bigint NOT NULL,
    crc32 bigint NOT NULL,
    sent_at timestamp with time zone,
    ngas_version integer,
    proved_at timestamp with time zone,
    product text,
    CONSTRAINT archived_file_crc32_check CHECK (((crc32 >= 0) AND (crc32 <= '4294967295'::bigint))),
    CONSTRAINT archived_file_ngas_file_id_check CHECK (((length(ngas_file_id) >= 1) AND (length(ngas_file_id) <= 64))),
    CONSTRAINT archived_file_product_check CHECK ((product <> ''::text)),
    CONSTRAINT archived_file_size_bytes_check CHECK ((size_bytes > 0))
);


--
-- Name: TABLE archived_file; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.archived_file IS 'What an ingest puts into NGAS; written before the first byte is sent.';


--
-- Name: COLUMN archived_file.sent_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.archived_file.sent_at IS 'From when on bytes of it may have reached NGAS.';


--
-- Name: COLUMN archived_file.proved_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.archived_file.proved_at IS 'When NGAS had read its copy again and found it good.';


--
-- Name: COLUMN archived_file.product; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.archived_file.product IS 'The product that is sent as it lies in products/; NULL: it is packed anew.';


--
-- Name: assignment; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.assignment (
    pipeline_run_id text NOT NULL,
    number integer NOT NULL,
    data_analyst text NOT NULL,
    assigned_by text NOT NULL,
    assigned_at timestamp with time zone DEFAULT now() NOT NULL,
    answer text NOT NULL,
    CONSTRAINT assignment_data_analyst_check CHECK ((data_analyst <> ''::text)),
    CONSTRAINT assignment_number_check CHECK ((number > 0))
);


--
-- Name: TABLE assignment; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.assignment IS 'Who was given a run to review; the highest number is in force.';


--
-- Name: COLUMN assignment.data_analyst; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.assignment.data_analyst IS 'The mail address.';


--
-- Name: COLUMN assignment.answer; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.assignment.answer IS 'Tells apart the answers of people, so that each is recorded once.';


--
-- Name: assignment_question; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.assignment_question (
    dag_id text NOT NULL,
    dag_run_id text NOT NULL,
    pipeline_run_id text NOT NULL,
    asked_at timestamp with time zone DEFAULT now() NOT NULL,
    closed_at timestamp with time zone
);


--
-- Name: TABLE assignment_question; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.assignment_question IS 'A DAG run that asks who reviews a run.';


--
-- Name: COLUMN assignment_question.closed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.assignment_question.closed_at IS 'When it was answered or had become pointless; NULL while it is asked.';


--
-- Name: cached_measurement_set; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.cached_measurement_set (
    pipeline_run_id text NOT NULL,
    path text NOT NULL,
    cached_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone
);


--
-- Name: TABLE cached_measurement_set; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.cached_measurement_set IS 'Calibrated measurement sets that are kept for users for a while.';


--
-- Name: casa_attempt; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.casa_attempt (
    pipeline_run_id text NOT NULL,
    attempt integer NOT NULL,
    job_name text,
    host text,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    exit_code integer,
    signal text,
    peak_memory_bytes bigint,
    casa_version text,
    pipeline_version text,
    ppr_sha256_before text,
    ppr_sha256_after text,
    CONSTRAINT casa_attempt_attempt_check CHECK ((attempt > 0))
);


--
-- Name: TABLE casa_attempt; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.casa_attempt IS 'One start of CASA.';


--
-- Name: event; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.event (
    event_id uuid NOT NULL,
    sequence bigint NOT NULL,
    pipeline_run_id text NOT NULL,
    happened_at timestamp with time zone DEFAULT now() NOT NULL,
    event text NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    state_before text,
    state_after text,
    CONSTRAINT event_event_check CHECK (((length(event) >= 1) AND (length(event) <= 100)))
);


--
-- Name: TABLE event; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.event IS 'What happened, in order; rows are added and never changed.';


--
-- Name: COLUMN event.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.event.event_id IS 'Made by the writer, so that a repeated transaction writes the event once.';


--
-- Name: event_sequence_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.event ALTER COLUMN sequence ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.event_sequence_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: fetched_file; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.fetched_file (
    pipeline_run_id text NOT NULL,
    path text NOT NULL,
    size_bytes bigint NOT NULL,
    crc32 bigint NOT NULL,
    ngas_file_id text NOT NULL,
    ngas_version integer,
    mtime_ns bigint,
    CONSTRAINT fetched_file_crc32_check CHECK (((crc32 >= 0) AND (crc32 <= '4294967295'::bigint))),
    CONSTRAINT fetched_file_size_bytes_check CHECK ((size_bytes >= 0))
);


--
-- Name: TABLE fetched_file; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.fetched_file IS 'The raw data of a run, as size and CRC proved them.';


--
-- Name: given_file; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.given_file (
    pipeline_run_id text NOT NULL,
    name text NOT NULL,
    source text NOT NULL,
    sha256 text NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT given_file_name_check CHECK ((name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'::text)),
    CONSTRAINT given_file_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text))
);


--
-- Name: TABLE given_file; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.given_file IS 'The PPR and the analyst''s files of a run, byte for byte, as CASA is given them.';


--
-- Name: ingest; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ingest (
    pipeline_run_id text NOT NULL,
    number integer NOT NULL,
    claimed_at timestamp with time zone DEFAULT now() NOT NULL,
    tries integer DEFAULT 1 NOT NULL,
    dag_id text NOT NULL,
    dag_run_id text NOT NULL,
    requested_by text NOT NULL,
    qa_flag text NOT NULL,
    verdict jsonb NOT NULL,
    committed_at timestamp with time zone,
    withdrawn_at timestamp with time zone,
    CONSTRAINT ingest_number_check CHECK ((number > 0)),
    CONSTRAINT ingest_qa_flag_check CHECK ((qa_flag = ANY (ARRAY['Pass'::text, 'Fail'::text, 'Null'::text])))
);


--
-- Name: TABLE ingest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.ingest IS 'A verdict and the ingest into the archive that it asks for.';


--
-- Name: COLUMN ingest.claimed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ingest.claimed_at IS 'The time of the ingest, the same in every try: QA notes and names hold it.';


--
-- Name: COLUMN ingest.dag_run_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ingest.dag_run_id IS 'The DAG run that works on it, or did last.';


--
-- Name: COLUMN ingest.committed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ingest.committed_at IS 'When the archive had the metadata; after that it cannot be withdrawn.';


--
-- Name: mail; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.mail (
    mail_id bigint NOT NULL,
    pipeline_run_id text,
    key text NOT NULL,
    message_id text NOT NULL,
    sender text NOT NULL,
    recipients text[] NOT NULL,
    pending text[] NOT NULL,
    subject text NOT NULL,
    body_text text NOT NULL,
    body_html text NOT NULL,
    queued_at timestamp with time zone DEFAULT now() NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    last_error text,
    sent_at timestamp with time zone,
    refused jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT mail_recipients_check CHECK ((cardinality(recipients) > 0)),
    CONSTRAINT mail_subject_check CHECK ((subject !~ '[[:cntrl:]]'::text))
);


--
-- Name: TABLE mail; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.mail IS 'The outbox: a mail is queued by the transaction that sets the state it tells of.';


--
-- Name: COLUMN mail.pipeline_run_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.mail.pipeline_run_id IS 'NULL: it tells of a request for which no run could be opened.';


--
-- Name: COLUMN mail.pending; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.mail.pending IS 'Recipients whom the mail server has not accepted yet.';


--
-- Name: COLUMN mail.sent_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.mail.sent_at IS 'When all were accepted who are not given up; NULL for ever if it was accepted for nobody.';


--
-- Name: COLUMN mail.refused; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.mail.refused IS 'Recipients who are given up because the mail server refuses them, each with its answer.';


--
-- Name: mail_mail_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.mail ALTER COLUMN mail_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.mail_mail_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: mail_server_away; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.mail_server_away (
    the_only_row boolean DEFAULT true NOT NULL,
    since timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_error text NOT NULL,
    CONSTRAINT mail_server_away_the_only_row_check CHECK (the_only_row)
);


--
-- Name: TABLE mail_server_away; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.mail_server_away IS 'No row while the mail server answers.';


--
-- Name: observation; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.observation (
    eb_name text NOT NULL,
    locator text NOT NULL,
    ingested_at timestamp with time zone NOT NULL,
    noticed_at timestamp with time zone DEFAULT now() NOT NULL,
    decision text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    started_at timestamp with time zone,
    dag_run_id text,
    CONSTRAINT observation_decision_check CHECK ((decision = ANY (ARRAY['calibrate'::text, 'left alone'::text])))
);


--
-- Name: TABLE observation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.observation IS 'Execution blocks that the ingestion sensor noticed, and what it decided about each.';


--
-- Name: observation_watch; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.observation_watch (
    name text NOT NULL,
    first_started_at timestamp with time zone DEFAULT now() NOT NULL,
    watermark timestamp with time zone NOT NULL
);


--
-- Name: TABLE observation_watch; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.observation_watch IS 'How far the ingestion sensor has read the archive.';


--
-- Name: pipeline_run; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.pipeline_run (
    pipeline_run_id text NOT NULL,
    request_id bigint NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    dag_id text NOT NULL,
    dag_run_id text NOT NULL,
    requested_by text NOT NULL,
    recipe text NOT NULL,
    cores integer NOT NULL,
    memory_gb integer NOT NULL,
    failure text,
    ppr_sha256 text,
    lowest_score double precision,
    scores jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    state_since timestamp with time zone DEFAULT now() NOT NULL,
    former_run text,
    casa_release text DEFAULT 'default'::text NOT NULL,
    asked jsonb,
    directory_token uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT pipeline_run_casa_release_check CHECK ((casa_release ~ '^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$'::text)),
    CONSTRAINT pipeline_run_cores_check CHECK ((cores > 0)),
    CONSTRAINT pipeline_run_memory_gb_check CHECK ((memory_gb > 0)),
    CONSTRAINT pipeline_run_pipeline_run_id_check CHECK ((pipeline_run_id ~ '^(vla|alma)-[0-9]{8}-[0-9]{6}-[0-9a-z]{4}$'::text)),
    CONSTRAINT pipeline_run_ppr_sha256_check CHECK ((ppr_sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT pipeline_run_state_check CHECK ((state = ANY (ARRAY['created'::text, 'fetching'::text, 'processing'::text, 'awaiting_qa'::text, 'failed'::text, 'cancelled'::text, 'ingesting'::text, 'ingest_failed'::text, 'archived'::text, 'superseded'::text, 'rejected'::text, 'cleaning'::text, 'cleaned'::text]))),
    CONSTRAINT pipeline_run_version_check CHECK ((version > 0))
);


--
-- Name: TABLE pipeline_run; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.pipeline_run IS 'One attempt at a request: one directory, one PPR, one state.';


--
-- Name: COLUMN pipeline_run.former_run; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pipeline_run.former_run IS 'The run that this one repeats with other files; NULL for a first run.';


--
-- Name: COLUMN pipeline_run.casa_release; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pipeline_run.casa_release IS 'Which of the CASA installations of the settings it runs in.';


--
-- Name: COLUMN pipeline_run.asked; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pipeline_run.asked IS 'What the user asked for, and who that is; NULL for a calibration.';


--
-- Name: COLUMN pipeline_run.directory_token; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pipeline_run.directory_token IS 'Random; stands in a file in each directory of the run.';


--
-- Name: product_file; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.product_file (
    pipeline_run_id text NOT NULL,
    number integer NOT NULL,
    path text NOT NULL,
    size_bytes bigint NOT NULL,
    crc32 bigint NOT NULL
);


--
-- Name: TABLE product_file; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.product_file IS 'What lay in products/ when it was packed for the archive.';


--
-- Name: reindex_request; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reindex_request (
    reindex_id bigint NOT NULL,
    pipeline_run_id text NOT NULL,
    key text NOT NULL,
    project text NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    last_error text,
    done_at timestamp with time zone
);


--
-- Name: TABLE reindex_request; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.reindex_request IS 'The outbox of what the archive is asked: to index a project again.';


--
-- Name: reindex_request_reindex_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.reindex_request ALTER COLUMN reindex_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.reindex_request_reindex_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: request; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.request (
    request_id bigint NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    project text NOT NULL,
    locator text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    sealed_at timestamp with time zone,
    digest text DEFAULT ''::text NOT NULL,
    CONSTRAINT request_digest_check CHECK ((digest ~ '^([0-9a-f]{64})?$'::text)),
    CONSTRAINT request_kind_check CHECK ((kind ~ '^[a-z][a-z0-9_]{0,63}$'::text)),
    CONSTRAINT request_subject_check CHECK (((length(subject) >= 1) AND (length(subject) <= 128)))
);


--
-- Name: TABLE request; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.request IS 'One EB to calibrate, or one MOUS to image as a user asked.';


--
-- Name: COLUMN request.sealed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.request.sealed_at IS 'When one of its runs passed: no run is made after that until it is reopened.';


--
-- Name: COLUMN request.digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.request.digest IS 'Tells apart what users ask of one MOUS; empty where there is but one thing to ask, a calibration say.';


--
-- Name: request_request_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.request ALTER COLUMN request_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.request_request_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: retention; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.retention (
    kind text NOT NULL,
    days integer NOT NULL,
    set_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT retention_days_check CHECK ((days >= 0)),
    CONSTRAINT retention_kind_check CHECK ((kind ~ '^[a-z][a-z0-9_]{0,63}$'::text))
);


--
-- Name: TABLE retention; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.retention IS 'The retention that is in force: what the text file said when it was last right.';


--
-- Name: schema_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schema_version (
    number integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Data for Name: archived_file; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.archived_file (ngas_file_id, pipeline_run_id, number, kind, name, mime_type, size_bytes, crc32, sent_at, ngas_version, proved_at, product) FROM stdin;
vla-20261129-202740-zk9a.calibration	vla-20261129-202740-zk9a	1	calibration	13A-537.tar	application/x-tar	2048	4294967295	\N	\N	\N	\N
vla-20261129-202740-zk9a.weblog	vla-20261129-202740-zk9a	1	weblog	weblog.tgz	application/x-tar	2048	4294967295	\N	\N	\N	\N
vla-20261129-202741-mfan.calibration	vla-20261129-202741-mfan	1	calibration	13A-537.tar	application/x-tar	2048	4294967295	\N	\N	\N	\N
vla-20261129-202741-mfan.weblog	vla-20261129-202741-mfan	1	weblog	weblog.tgz	application/x-tar	2048	4294967295	\N	\N	\N	\N
vla-20261129-202741-avjd.calibration	vla-20261129-202741-avjd	1	calibration	13A-537.tar	application/x-tar	2048	4294967295	2026-11-29 20:27:41.753983+00	1	2026-11-29 20:27:41.771745+00	\N
vla-20261129-202741-avjd.weblog	vla-20261129-202741-avjd	1	weblog	weblog.tgz	application/x-tar	2048	4294967295	2026-11-29 20:27:41.786389+00	1	2026-11-29 20:27:41.802068+00	\N
\.


--
-- Data for Name: assignment; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.assignment (pipeline_run_id, number, data_analyst, assigned_by, assigned_at, answer) FROM stdin;
alma-20261129-202740-jgpj	1	one@example.org	the manager	2026-11-29 20:27:40.878794+00	the first
\.


--
-- Data for Name: assignment_question; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.assignment_question (dag_id, dag_run_id, pipeline_run_id, asked_at, closed_at) FROM stdin;
alma_assign_qa	alma-20261129-202740-jgpj	alma-20261129-202740-jgpj	2026-11-29 20:27:40.869321+00	2026-11-29 20:27:40.878794+00
\.


--
-- Data for Name: cached_measurement_set; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.cached_measurement_set (pipeline_run_id, path, cached_at, expires_at, removed_at) FROM stdin;
vla-20261129-202741-avjd	/cache/a.ms	2026-11-29 20:27:41.879737+00	2026-12-20 20:27:41.870931+00	\N
\.


--
-- Data for Name: casa_attempt; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.casa_attempt (pipeline_run_id, attempt, job_name, host, started_at, ended_at, exit_code, signal, peak_memory_bytes, casa_version, pipeline_version, ppr_sha256_before, ppr_sha256_after) FROM stdin;
vla-20261129-202740-pnk4	1	vla-20261129-202740-pnk4.casa1	h	\N	\N	\N	\N	\N	\N	\N	a	\N
vla-20261129-202740-wbcw	1	vla-20261129-202740-wbcw.casa1	h	2026-11-29 20:27:40.387003+00	2026-11-29 20:27:40.387003+00	0	\N	34359738368	\N	\N	a	\N
vla-20261129-202740-pf4w	1	vla-20261129-202740-pf4w.casa1	h	\N	\N	\N	\N	\N	\N	\N	a	\N
alma-20261129-202740-jgpj	1	alma-20261129-202740-jgpj.casa1	h	2026-11-29 20:27:40.844306+00	2026-11-29 20:27:40.844306+00	0	\N	34359738368	\N	\N	a	\N
vla-20261129-202740-zk9a	1	vla-20261129-202740-zk9a.casa1	h	2026-11-29 20:27:40.984526+00	2026-11-29 20:27:40.984526+00	0	\N	34359738368	\N	\N	a	\N
vla-20261129-202741-mfan	1	vla-20261129-202741-mfan.casa1	h	2026-11-29 20:27:41.251035+00	2026-11-29 20:27:41.251035+00	0	\N	34359738368	\N	\N	a	\N
vla-20261129-202741-wwhv	1	vla-20261129-202741-wwhv.casa1	h	2026-11-29 20:27:41.457727+00	2026-11-29 20:27:41.457727+00	0	\N	34359738368	\N	\N	a	\N
vla-20261129-202741-avjd	1	vla-20261129-202741-avjd.casa1	h	2026-11-29 20:27:41.623841+00	2026-11-29 20:27:41.623841+00	0	\N	34359738368	\N	\N	a	\N
vla-20261129-202741-mm3e	1	vla-20261129-202741-mm3e.casa1	h	2026-11-29 20:27:42.147422+00	2026-11-29 20:27:42.147422+00	0	\N	34359738368	\N	\N	a	\N
vla-20261129-202742-3dj4	1	vla-20261129-202742-3dj4.casa1	h	\N	\N	\N	\N	\N	\N	\N	a	\N
vla-20261129-202742-y83y	1	vla-20261129-202742-y83y.casa1	h	\N	\N	\N	\N	\N	\N	\N	a	\N
\.


--
-- Data for Name: event; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.event (event_id, sequence, pipeline_run_id, happened_at, event, details, state_before, state_after) FROM stdin;
605a4bf7-d040-4025-bb6e-12d89a5b0063	1	vla-20261129-202739-t4kv	2026-11-29 20:27:39.917098+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009001", "memory_gb": 248, "dag_run_id": "manual__9001", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
71854205-0c8e-4ebd-8597-6c53b6374040	2	vla-20261129-202739-5ssh	2026-11-29 20:27:39.975386+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009002", "memory_gb": 248, "dag_run_id": "manual__9002", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
a10ad358-4a44-4793-81c6-3d4604f20ecb	3	vla-20261129-202739-5ssh	2026-11-29 20:27:40.031755+00	fetching	{"said": "ä\\t\\\\"}	created	fetching
b5122840-7008-4036-9994-5e4a84ba5a13	4	vla-20261129-202740-pnk4	2026-11-29 20:27:40.061409+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009003", "memory_gb": 248, "dag_run_id": "manual__9003", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
2f4f719d-94cd-4f85-a42f-4a3419a4a00e	5	vla-20261129-202740-pnk4	2026-11-29 20:27:40.101096+00	fetching	{"said": "ä\\t\\\\"}	created	fetching
bcb4880f-33f6-44b7-a3c6-fe257390c06d	6	vla-20261129-202740-pnk4	2026-11-29 20:27:40.220062+00	processing	{"said": "ä\\t\\\\"}	fetching	processing
3a33d120-dd0b-490e-8b4a-e3694d019f12	7	vla-20261129-202740-wbcw	2026-11-29 20:27:40.25174+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009004", "memory_gb": 248, "dag_run_id": "manual__9004", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
2c1a7913-0176-44c0-a966-dc3a415b1de2	8	vla-20261129-202740-wbcw	2026-11-29 20:27:40.296358+00	fetching	{"said": "ä\\t\\\\"}	created	fetching
fdafcb5c-05db-40c0-920b-1b160060a7a2	9	vla-20261129-202740-wbcw	2026-11-29 20:27:40.368163+00	processing	{"said": "ä\\t\\\\"}	fetching	processing
5cb35f73-7037-481f-91c3-690fd7e7ff47	10	vla-20261129-202740-wbcw	2026-11-29 20:27:40.693478+00	awaiting_qa	{"said": "ä\\t\\\\"}	processing	awaiting_qa
c4156538-b7e5-4894-a549-9e44717c97d8	11	vla-20261129-202740-pf4w	2026-11-29 20:27:40.702536+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009005", "memory_gb": 248, "dag_run_id": "manual__9005", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
9b6c0536-9162-419b-b437-398e69e3f679	12	vla-20261129-202740-pf4w	2026-11-29 20:27:40.715341+00	fetching	{"said": "ä\\t\\\\"}	created	fetching
b732dee7-3fa9-483d-aaf6-7d4c334d48ce	13	vla-20261129-202740-pf4w	2026-11-29 20:27:40.748469+00	processing	{"said": "ä\\t\\\\"}	fetching	processing
3616c2c5-70eb-464f-b768-219024234130	14	vla-20261129-202740-pf4w	2026-11-29 20:27:40.759661+00	failed	{"said": "ä\\t\\\\"}	processing	failed
4a9251fc-1859-43a2-a314-581747cd15ea	15	vla-20261129-202740-9fbt	2026-11-29 20:27:40.770822+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009006", "memory_gb": 248, "dag_run_id": "manual__9006", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
018433b6-7478-4a17-aaf0-c94295fa9e1f	16	vla-20261129-202740-9fbt	2026-11-29 20:27:40.78339+00	cancelled	{"said": "ä\\t\\\\"}	created	cancelled
be3cacae-94e6-4dbc-8749-3758a38cb3b0	17	alma-20261129-202740-jgpj	2026-11-29 20:27:40.798768+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009007", "memory_gb": 248, "dag_run_id": "manual__9007", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
7d60f7e1-5f3a-42f2-bf77-6c0fc2cd54d3	18	alma-20261129-202740-jgpj	2026-11-29 20:27:40.81003+00	fetching	{"said": "ä\\t\\\\"}	created	fetching
31903a22-28eb-4d7b-9136-5cb60d7359d8	19	alma-20261129-202740-jgpj	2026-11-29 20:27:40.835551+00	processing	{"said": "ä\\t\\\\"}	fetching	processing
c7dcb5db-b549-44af-b1c0-8269c19850fe	20	alma-20261129-202740-jgpj	2026-11-29 20:27:40.860138+00	awaiting_qa	{"said": "ä\\t\\\\"}	processing	awaiting_qa
0f2c8a86-a482-5272-a03d-9c54ea67c3f4	21	alma-20261129-202740-jgpj	2026-11-29 20:27:40.878794+00	assigned	{"dag_id": "alma_assign_qa", "number": 1, "dag_run_id": "alma-20261129-202740-jgpj", "assigned_by": "the manager", "data_analyst": "one@example.org"}	\N	\N
23b4e58c-a0b0-43f6-9b6c-ee062463dc66	22	vla-20261129-202740-zk9a	2026-11-29 20:27:40.887995+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009008", "memory_gb": 248, "dag_run_id": "manual__9008", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
5896b3ad-4245-4159-8e2a-3f9a80db3394	23	vla-20261129-202740-zk9a	2026-11-29 20:27:40.913671+00	fetching	{"said": "ä\\t\\\\"}	created	fetching
b82c3d77-c93e-424c-b193-fdfeba018869	24	vla-20261129-202740-zk9a	2026-11-29 20:27:40.967645+00	processing	{"said": "ä\\t\\\\"}	fetching	processing
84dadfc3-ae85-426c-bde5-6470e7b44e6a	25	vla-20261129-202740-zk9a	2026-11-29 20:27:41.013489+00	awaiting_qa	{"said": "ä\\t\\\\"}	processing	awaiting_qa
a97388d9-4fac-44a6-8e62-bfe82469d46c	26	vla-20261129-202740-zk9a	2026-11-29 20:27:41.031474+00	ingest_claimed	{"dag_id": "vla_qa_pass", "qa_flag": "Null", "dag_run_id": "manual__vla-20261129-202740-zk9a", "requested_by": "an analyst"}	awaiting_qa	ingesting
92e91e37-8f1b-4418-8454-5537efdb3a2f	27	vla-20261129-202741-mfan	2026-11-29 20:27:41.083772+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009009", "memory_gb": 248, "dag_run_id": "manual__9009", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
57355e1c-d328-4af5-afe6-7f9634467435	28	vla-20261129-202741-mfan	2026-11-29 20:27:41.118741+00	fetching	{"said": "ä\\t\\\\"}	created	fetching
69909908-93c5-4835-aa5f-c5e389e55b4f	29	vla-20261129-202741-mfan	2026-11-29 20:27:41.223828+00	processing	{"said": "ä\\t\\\\"}	fetching	processing
c0608f46-32f7-4498-abfd-0540b01c22ef	30	vla-20261129-202741-mfan	2026-11-29 20:27:41.279893+00	awaiting_qa	{"said": "ä\\t\\\\"}	processing	awaiting_qa
4be48987-3b39-42e2-86ad-f1415567daba	31	vla-20261129-202741-mfan	2026-11-29 20:27:41.289059+00	ingest_claimed	{"dag_id": "vla_qa_pass", "qa_flag": "Pass", "given_by": "an analyst", "dag_run_id": "manual__vla-20261129-202741-mfan", "requested_by": "an analyst"}	awaiting_qa	ingesting
58412891-b14f-487f-a976-6be7d10ab231	32	vla-20261129-202741-mfan	2026-11-29 20:27:41.311306+00	ingest_failed	{"said": "ä\\t\\\\"}	ingesting	ingest_failed
70655b8a-126f-4798-a243-f3694ad9f4ae	33	vla-20261129-202741-wwhv	2026-11-29 20:27:41.320908+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009010", "memory_gb": 248, "dag_run_id": "manual__9010", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
7198b278-b68e-4091-9e60-c1c14ab2c391	34	vla-20261129-202741-wwhv	2026-11-29 20:27:41.355786+00	fetching	{"said": "ä\\t\\\\"}	created	fetching
a9401293-dca5-45fa-a8ed-7bdb49f7202b	35	vla-20261129-202741-wwhv	2026-11-29 20:27:41.433017+00	processing	{"said": "ä\\t\\\\"}	fetching	processing
f9973065-2d71-447e-86a3-02a521308b2a	36	vla-20261129-202741-wwhv	2026-11-29 20:27:41.507751+00	awaiting_qa	{"said": "ä\\t\\\\"}	processing	awaiting_qa
7f2f4ff2-0625-47bf-9161-75fdd4c0d6c5	37	vla-20261129-202741-avjd	2026-11-29 20:27:41.527775+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009011", "memory_gb": 248, "dag_run_id": "manual__9011", "former_run": "vla-20261129-202741-wwhv", "casa_release": "6.6.1", "requested_by": "an analyst"}	\N	created
4cc3b1a0-1dbf-432d-9fb3-203fef47c49c	38	vla-20261129-202741-avjd	2026-11-29 20:27:41.551746+00	fetching	{"said": "ä\\t\\\\"}	created	fetching
f6f0a35c-40a8-4b97-8de9-1e7107bfa9de	39	vla-20261129-202741-avjd	2026-11-29 20:27:41.605597+00	processing	{"said": "ä\\t\\\\"}	fetching	processing
8b387cba-0ebc-4a07-a0f4-fb4040b6f8c9	40	vla-20261129-202741-avjd	2026-11-29 20:27:41.665857+00	awaiting_qa	{"said": "ä\\t\\\\"}	processing	awaiting_qa
c2c1d3a3-d2ea-4d91-bef1-d065ee2a3a84	41	vla-20261129-202741-avjd	2026-11-29 20:27:41.681331+00	ingest_claimed	{"dag_id": "vla_qa_pass", "qa_flag": "Pass", "given_by": "an analyst", "dag_run_id": "manual__vla-20261129-202741-avjd", "requested_by": "an analyst"}	awaiting_qa	ingesting
6fa85704-180c-45d5-8e8a-02466614ef0a	42	vla-20261129-202741-avjd	2026-11-29 20:27:41.837116+00	archived	{}	ingesting	archived
2a44156e-4063-42b8-bc01-6642d2825ed8	43	vla-20261129-202741-wwhv	2026-11-29 20:27:41.837116+00	superseded	{"by": "vla-20261129-202741-avjd"}	awaiting_qa	superseded
a41f53a5-f8f9-4326-80b9-dca0b47430f3	44	vla-20261129-202741-mm3e	2026-11-29 20:27:41.892225+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009012", "memory_gb": 248, "dag_run_id": "manual__9012", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
0045877e-0538-4a06-89b0-b9c6a63c33b8	45	vla-20261129-202741-mm3e	2026-11-29 20:27:41.957827+00	fetching	{"said": "ä\\t\\\\"}	created	fetching
5561b03b-8150-48b5-a718-d69356890f5a	46	vla-20261129-202741-mm3e	2026-11-29 20:27:42.123139+00	processing	{"said": "ä\\t\\\\"}	fetching	processing
b0c7f56f-40f2-4cee-afcc-a638016352cb	47	vla-20261129-202741-mm3e	2026-11-29 20:27:42.195022+00	awaiting_qa	{"said": "ä\\t\\\\"}	processing	awaiting_qa
092a2f03-460f-4810-b6ae-223f75e4e45e	48	vla-20261129-202741-mm3e	2026-11-29 20:27:42.225254+00	rejected	{"by": "an analyst", "reason": "no flux"}	awaiting_qa	rejected
42ddb688-9157-4ec0-9609-7764c4cb3c37	49	vla-20261129-202742-3dj4	2026-11-29 20:27:42.238225+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009013", "memory_gb": 248, "dag_run_id": "manual__9013", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
e7599bf1-c522-4636-8188-5e9055cb8fc1	50	vla-20261129-202742-3dj4	2026-11-29 20:27:42.2548+00	fetching	{"said": "ä\\t\\\\"}	created	fetching
8c4844c9-4759-4466-bf52-ae6e3922264f	51	vla-20261129-202742-3dj4	2026-11-29 20:27:42.296126+00	processing	{"said": "ä\\t\\\\"}	fetching	processing
3d99254d-21c0-470f-986d-fa7d6cfd7182	52	vla-20261129-202742-3dj4	2026-11-29 20:27:42.34427+00	failed	{"said": "ä\\t\\\\"}	processing	failed
dd9f08ac-aad8-4a0e-8c64-a0e1d9b805e9	53	vla-20261129-202742-3dj4	2026-11-29 20:27:42.368453+00	removal_begun	{"directories": ["/qa/a"]}	failed	cleaning
feeca4b5-2a3b-40bf-9c09-a35782159ad8	54	vla-20261129-202742-y83y	2026-11-29 20:27:42.408068+00	opened	{"cores": 8, "files": [], "dag_id": "vla_calibration", "recipe": "vla_calibration", "locator": "uid://evla/execblock/00000000-0000-0000-0000-000000009014", "memory_gb": 248, "dag_run_id": "manual__9014", "former_run": null, "casa_release": "default", "requested_by": "an analyst"}	\N	created
bba55d61-b589-4a80-949f-9af9ca036fba	55	vla-20261129-202742-y83y	2026-11-29 20:27:42.429885+00	fetching	{"said": "ä\\t\\\\"}	created	fetching
347e2ad6-84c0-4205-8c0e-b1c60eb50fea	56	vla-20261129-202742-y83y	2026-11-29 20:27:42.500408+00	processing	{"said": "ä\\t\\\\"}	fetching	processing
1964438d-25e9-4848-a3e0-e3bb465650c5	57	vla-20261129-202742-y83y	2026-11-29 20:27:42.517712+00	failed	{"said": "ä\\t\\\\"}	processing	failed
0f892c52-4f3b-4d5d-948a-dfb1d954074c	58	vla-20261129-202742-y83y	2026-11-29 20:27:42.544746+00	removal_begun	{"directories": ["/qa/a"]}	failed	cleaning
7722144a-ce66-423e-ac72-8e7bed7b8b0c	59	vla-20261129-202742-y83y	2026-11-29 20:27:42.578336+00	cleaned	{"said": "ä\\t\\\\"}	cleaning	cleaned
\.


--
-- Data for Name: fetched_file; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.fetched_file (pipeline_run_id, path, size_bytes, crc32, ngas_file_id, ngas_version, mtime_ns) FROM stdin;
vla-20261129-202740-pnk4	ASDM.xml	7	4294967295	uid____a	1	\N
vla-20261129-202740-wbcw	ASDM.xml	7	4294967295	uid____a	1	\N
vla-20261129-202740-pf4w	ASDM.xml	7	4294967295	uid____a	1	\N
alma-20261129-202740-jgpj	ASDM.xml	7	4294967295	uid____a	1	\N
vla-20261129-202740-zk9a	ASDM.xml	7	4294967295	uid____a	1	\N
vla-20261129-202741-mfan	ASDM.xml	7	4294967295	uid____a	1	\N
vla-20261129-202741-wwhv	ASDM.xml	7	4294967295	uid____a	1	\N
vla-20261129-202741-avjd	ASDM.xml	7	4294967295	uid____a	1	\N
vla-20261129-202741-mm3e	ASDM.xml	7	4294967295	uid____a	1	\N
vla-20261129-202742-3dj4	ASDM.xml	7	4294967295	uid____a	1	\N
vla-20261129-202742-y83y	ASDM.xml	7	4294967295	uid____a	1	\N
\.


--
-- Data for Name: given_file; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.given_file (pipeline_run_id, name, source, sha256, content) FROM stdin;
vla-20261129-202740-pnk4	PPR.xml	a recipe	3a0d5a1835974562f6ca583727efc6e9e6fb64a02b4f465c4c97d43e2f73a2e3	\\x3c613ec3a93c2f613e
vla-20261129-202740-wbcw	PPR.xml	a recipe	3a0d5a1835974562f6ca583727efc6e9e6fb64a02b4f465c4c97d43e2f73a2e3	\\x3c613ec3a93c2f613e
vla-20261129-202740-pf4w	PPR.xml	a recipe	3a0d5a1835974562f6ca583727efc6e9e6fb64a02b4f465c4c97d43e2f73a2e3	\\x3c613ec3a93c2f613e
alma-20261129-202740-jgpj	PPR.xml	a recipe	3a0d5a1835974562f6ca583727efc6e9e6fb64a02b4f465c4c97d43e2f73a2e3	\\x3c613ec3a93c2f613e
vla-20261129-202740-zk9a	PPR.xml	a recipe	3a0d5a1835974562f6ca583727efc6e9e6fb64a02b4f465c4c97d43e2f73a2e3	\\x3c613ec3a93c2f613e
vla-20261129-202741-mfan	PPR.xml	a recipe	3a0d5a1835974562f6ca583727efc6e9e6fb64a02b4f465c4c97d43e2f73a2e3	\\x3c613ec3a93c2f613e
vla-20261129-202741-wwhv	PPR.xml	a recipe	3a0d5a1835974562f6ca583727efc6e9e6fb64a02b4f465c4c97d43e2f73a2e3	\\x3c613ec3a93c2f613e
vla-20261129-202741-avjd	PPR.xml	a recipe	3a0d5a1835974562f6ca583727efc6e9e6fb64a02b4f465c4c97d43e2f73a2e3	\\x3c613ec3a93c2f613e
vla-20261129-202741-mm3e	PPR.xml	a recipe	3a0d5a1835974562f6ca583727efc6e9e6fb64a02b4f465c4c97d43e2f73a2e3	\\x3c613ec3a93c2f613e
vla-20261129-202742-3dj4	PPR.xml	a recipe	3a0d5a1835974562f6ca583727efc6e9e6fb64a02b4f465c4c97d43e2f73a2e3	\\x3c613ec3a93c2f613e
vla-20261129-202742-y83y	PPR.xml	a recipe	3a0d5a1835974562f6ca583727efc6e9e6fb64a02b4f465c4c97d43e2f73a2e3	\\x3c613ec3a93c2f613e
\.


--
-- Data for Name: ingest; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.ingest (pipeline_run_id, number, claimed_at, tries, dag_id, dag_run_id, requested_by, qa_flag, verdict, committed_at, withdrawn_at) FROM stdin;
vla-20261129-202740-zk9a	1	2026-11-29 20:27:41.031474+00	1	vla_qa_pass	manual__vla-20261129-202740-zk9a	an analyst	Null	{"flag": "Null", "score": null, "analyst": "", "comments": "", "given_by": "", "standard": "SRDP Pilot", "assigned_to": "", "report_text": ""}	\N	\N
vla-20261129-202741-mfan	1	2026-11-29 20:27:41.289059+00	1	vla_qa_pass	manual__vla-20261129-202741-mfan	an analyst	Pass	{"flag": "Pass", "score": 0.85, "analyst": "an analyst", "comments": "fine\\nreally", "given_by": "", "standard": "SRDP Pilot", "assigned_to": "", "report_text": ""}	\N	\N
vla-20261129-202741-avjd	1	2026-11-29 20:27:41.681331+00	1	vla_qa_pass	manual__vla-20261129-202741-avjd	an analyst	Pass	{"flag": "Pass", "score": 0.85, "analyst": "an analyst", "comments": "fine\\nreally", "given_by": "", "standard": "SRDP Pilot", "assigned_to": "", "report_text": ""}	2026-11-29 20:27:41.820942+00	\N
\.


--
-- Data for Name: mail; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.mail (mail_id, pipeline_run_id, key, message_id, sender, recipients, pending, subject, body_text, body_html, queued_at, attempts, next_attempt_at, last_error, sent_at, refused) FROM stdin;
1	vla-20261129-202739-5ssh	fetching	<vla-20261129-202739-5ssh.fetching@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is fetching	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.031755+00	0	2026-11-29 20:27:40.031755+00	\N	\N	{}
2	vla-20261129-202740-pnk4	fetching	<vla-20261129-202740-pnk4.fetching@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is fetching	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.101096+00	0	2026-11-29 20:27:40.101096+00	\N	\N	{}
3	vla-20261129-202740-pnk4	processing	<vla-20261129-202740-pnk4.processing@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is processing	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.220062+00	0	2026-11-29 20:27:40.220062+00	\N	\N	{}
4	vla-20261129-202740-wbcw	fetching	<vla-20261129-202740-wbcw.fetching@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is fetching	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.296358+00	0	2026-11-29 20:27:40.296358+00	\N	\N	{}
5	vla-20261129-202740-wbcw	processing	<vla-20261129-202740-wbcw.processing@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is processing	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.368163+00	0	2026-11-29 20:27:40.368163+00	\N	\N	{}
6	vla-20261129-202740-wbcw	awaiting_qa	<vla-20261129-202740-wbcw.awaiting_qa@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is awaiting_qa	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.693478+00	0	2026-11-29 20:27:40.693478+00	\N	\N	{}
7	vla-20261129-202740-pf4w	fetching	<vla-20261129-202740-pf4w.fetching@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is fetching	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.715341+00	0	2026-11-29 20:27:40.715341+00	\N	\N	{}
8	vla-20261129-202740-pf4w	processing	<vla-20261129-202740-pf4w.processing@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is processing	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.748469+00	0	2026-11-29 20:27:40.748469+00	\N	\N	{}
9	vla-20261129-202740-pf4w	failed	<vla-20261129-202740-pf4w.failed@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is failed	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.759661+00	0	2026-11-29 20:27:40.759661+00	\N	\N	{}
10	vla-20261129-202740-9fbt	cancelled	<vla-20261129-202740-9fbt.cancelled@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is cancelled	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.78339+00	0	2026-11-29 20:27:40.78339+00	\N	\N	{}
11	alma-20261129-202740-jgpj	fetching	<alma-20261129-202740-jgpj.fetching@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is fetching	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.81003+00	0	2026-11-29 20:27:40.81003+00	\N	\N	{}
12	alma-20261129-202740-jgpj	processing	<alma-20261129-202740-jgpj.processing@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is processing	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.835551+00	0	2026-11-29 20:27:40.835551+00	\N	\N	{}
13	alma-20261129-202740-jgpj	awaiting_qa	<alma-20261129-202740-jgpj.awaiting_qa@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is awaiting_qa	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.860138+00	0	2026-11-29 20:27:40.860138+00	\N	\N	{}
14	vla-20261129-202740-zk9a	fetching	<vla-20261129-202740-zk9a.fetching@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is fetching	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.913671+00	0	2026-11-29 20:27:40.913671+00	\N	\N	{}
15	vla-20261129-202740-zk9a	processing	<vla-20261129-202740-zk9a.processing@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is processing	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:40.967645+00	0	2026-11-29 20:27:40.967645+00	\N	\N	{}
16	vla-20261129-202740-zk9a	awaiting_qa	<vla-20261129-202740-zk9a.awaiting_qa@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is awaiting_qa	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:41.013489+00	0	2026-11-29 20:27:41.013489+00	\N	\N	{}
17	vla-20261129-202741-mfan	fetching	<vla-20261129-202741-mfan.fetching@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is fetching	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:41.118741+00	0	2026-11-29 20:27:41.118741+00	\N	\N	{}
18	vla-20261129-202741-mfan	processing	<vla-20261129-202741-mfan.processing@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is processing	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:41.223828+00	0	2026-11-29 20:27:41.223828+00	\N	\N	{}
19	vla-20261129-202741-mfan	awaiting_qa	<vla-20261129-202741-mfan.awaiting_qa@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is awaiting_qa	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:41.279893+00	0	2026-11-29 20:27:41.279893+00	\N	\N	{}
20	vla-20261129-202741-mfan	ingest_failed	<vla-20261129-202741-mfan.ingest_failed@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is ingest_failed	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:41.311306+00	0	2026-11-29 20:27:41.311306+00	\N	\N	{}
21	vla-20261129-202741-wwhv	fetching	<vla-20261129-202741-wwhv.fetching@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is fetching	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:41.355786+00	0	2026-11-29 20:27:41.355786+00	\N	\N	{}
22	vla-20261129-202741-wwhv	processing	<vla-20261129-202741-wwhv.processing@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is processing	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:41.433017+00	0	2026-11-29 20:27:41.433017+00	\N	\N	{}
23	vla-20261129-202741-wwhv	awaiting_qa	<vla-20261129-202741-wwhv.awaiting_qa@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is awaiting_qa	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:41.507751+00	0	2026-11-29 20:27:41.507751+00	\N	\N	{}
24	vla-20261129-202741-avjd	fetching	<vla-20261129-202741-avjd.fetching@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is fetching	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:41.551746+00	0	2026-11-29 20:27:41.551746+00	\N	\N	{}
25	vla-20261129-202741-avjd	processing	<vla-20261129-202741-avjd.processing@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is processing	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:41.605597+00	0	2026-11-29 20:27:41.605597+00	\N	\N	{}
26	vla-20261129-202741-avjd	awaiting_qa	<vla-20261129-202741-avjd.awaiting_qa@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is awaiting_qa	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:41.665857+00	0	2026-11-29 20:27:41.665857+00	\N	\N	{}
27	vla-20261129-202741-avjd	archived	<vla-20261129-202741-avjd.archived@example.org>	x@example.org	{one@example.org}	{one@example.org}	Archived	text	<p>html</p>	2026-11-29 20:27:41.837116+00	0	2026-11-29 20:27:41.837116+00	\N	\N	{}
28	vla-20261129-202741-mm3e	fetching	<vla-20261129-202741-mm3e.fetching@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is fetching	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:41.957827+00	0	2026-11-29 20:27:41.957827+00	\N	\N	{}
29	vla-20261129-202741-mm3e	processing	<vla-20261129-202741-mm3e.processing@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is processing	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:42.123139+00	0	2026-11-29 20:27:42.123139+00	\N	\N	{}
30	vla-20261129-202741-mm3e	awaiting_qa	<vla-20261129-202741-mm3e.awaiting_qa@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is awaiting_qa	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:42.195022+00	0	2026-11-29 20:27:42.195022+00	\N	\N	{}
31	vla-20261129-202742-3dj4	fetching	<vla-20261129-202742-3dj4.fetching@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is fetching	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:42.2548+00	0	2026-11-29 20:27:42.2548+00	\N	\N	{}
32	vla-20261129-202742-3dj4	processing	<vla-20261129-202742-3dj4.processing@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is processing	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:42.296126+00	0	2026-11-29 20:27:42.296126+00	\N	\N	{}
33	vla-20261129-202742-3dj4	failed	<vla-20261129-202742-3dj4.failed@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is failed	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:42.34427+00	0	2026-11-29 20:27:42.34427+00	\N	\N	{}
34	vla-20261129-202742-y83y	fetching	<vla-20261129-202742-y83y.fetching@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is fetching	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:42.429885+00	0	2026-11-29 20:27:42.429885+00	\N	\N	{}
35	vla-20261129-202742-y83y	processing	<vla-20261129-202742-y83y.processing@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is processing	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:42.500408+00	0	2026-11-29 20:27:42.500408+00	\N	\N	{}
36	vla-20261129-202742-y83y	failed	<vla-20261129-202742-y83y.failed@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is failed	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:42.517712+00	0	2026-11-29 20:27:42.517712+00	\N	\N	{}
37	vla-20261129-202742-y83y	cleaned	<vla-20261129-202742-y83y.cleaned@example.org>	x@example.org	{one@example.org}	{one@example.org}	It is cleaned	Ein 'Satz'\nund \\ noch einer	<p>&auml;</p>	2026-11-29 20:27:42.578336+00	0	2026-11-29 20:27:42.578336+00	\N	\N	{}
\.


--
-- Data for Name: mail_server_away; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.mail_server_away (the_only_row, since, last_error) FROM stdin;
t	2026-11-29 20:27:42.611348+00	the mail server is away
\.


--
-- Data for Name: observation; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.observation (eb_name, locator, ingested_at, noticed_at, decision, reason, started_at, dag_run_id) FROM stdin;
13A-537.sb1.eb1.56514.1	uid://a	2026-11-29 20:27:42.621556+00	2026-11-29 20:27:42.621556+00	left alone	it is history	\N	\N
\.


--
-- Data for Name: observation_watch; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.observation_watch (name, first_started_at, watermark) FROM stdin;
new observations	2026-11-29 20:27:42.621556+00	2026-11-29 20:27:42.621556+00
\.


--
-- Data for Name: pipeline_run; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.pipeline_run (pipeline_run_id, request_id, version, state, dag_id, dag_run_id, requested_by, recipe, cores, memory_gb, failure, ppr_sha256, lowest_score, scores, created_at, state_since, former_run, casa_release, asked, directory_token) FROM stdin;
vla-20261129-202739-t4kv	1	1	created	vla_calibration	manual__9001	an analyst	vla_calibration	8	248	\N	\N	\N	\N	2026-11-29 20:27:39.917098+00	2026-11-29 20:27:39.917098+00	\N	default	\N	f3627804-a53b-4459-9d8f-63a97ec58b01
vla-20261129-202739-5ssh	2	1	fetching	vla_calibration	manual__9002	an analyst	vla_calibration	8	248	\N	\N	\N	\N	2026-11-29 20:27:39.975386+00	2026-11-29 20:27:40.031755+00	\N	default	\N	ce418af3-1e4e-4160-91cd-c186d31b18ea
vla-20261129-202740-pnk4	3	1	processing	vla_calibration	manual__9003	an analyst	vla_calibration	8	248	\N	\N	\N	\N	2026-11-29 20:27:40.061409+00	2026-11-29 20:27:40.220062+00	\N	default	\N	646636b2-68ce-4bfa-b4db-1d793ace43a1
vla-20261129-202740-wbcw	4	1	awaiting_qa	vla_calibration	manual__9004	an analyst	vla_calibration	8	248	\N	\N	0.85	{"1": 0.85}	2026-11-29 20:27:40.25174+00	2026-11-29 20:27:40.693478+00	\N	default	\N	d6a4f426-2ca6-4b04-9d5e-d8f16eea865a
vla-20261129-202740-pf4w	5	1	failed	vla_calibration	manual__9005	an analyst	vla_calibration	8	248	no 'flux' in\nit	\N	\N	\N	2026-11-29 20:27:40.702536+00	2026-11-29 20:27:40.759661+00	\N	default	\N	a7169e25-0a43-49f2-a4c8-1e6db7d7eed8
vla-20261129-202740-9fbt	6	1	cancelled	vla_calibration	manual__9006	an analyst	vla_calibration	8	248	\N	\N	\N	\N	2026-11-29 20:27:40.770822+00	2026-11-29 20:27:40.78339+00	\N	default	\N	1aa664d8-03e6-4d87-83d8-44b13258e5a4
alma-20261129-202740-jgpj	7	1	awaiting_qa	vla_calibration	manual__9007	an analyst	vla_calibration	8	248	\N	\N	0.85	{"1": 0.85}	2026-11-29 20:27:40.798768+00	2026-11-29 20:27:40.860138+00	\N	default	{"by": "x"}	f109a539-56af-4742-a2ff-d96f43d4deba
vla-20261129-202740-zk9a	8	1	ingesting	vla_calibration	manual__9008	an analyst	vla_calibration	8	248	\N	\N	0.85	{"1": 0.85}	2026-11-29 20:27:40.887995+00	2026-11-29 20:27:41.031474+00	\N	default	\N	af10cac2-296e-44d5-8130-027c4edccbfe
vla-20261129-202742-3dj4	13	1	cleaning	vla_calibration	manual__9013	an analyst	vla_calibration	8	248	no 'flux' in\nit	\N	\N	\N	2026-11-29 20:27:42.238225+00	2026-11-29 20:27:42.368453+00	\N	default	\N	96e94e00-cf1d-49bb-a7e9-005065bd8e4f
vla-20261129-202741-mfan	9	1	ingest_failed	vla_calibration	manual__9009	an analyst	vla_calibration	8	248	no 'flux' in\nit	\N	0.85	{"1": 0.85}	2026-11-29 20:27:41.083772+00	2026-11-29 20:27:41.311306+00	\N	default	\N	c2d42ca1-582e-4ca5-bd88-bcad31bac4b4
vla-20261129-202741-avjd	10	2	archived	vla_calibration	manual__9011	an analyst	vla_calibration	8	248	\N	\N	0.85	{"1": 0.85}	2026-11-29 20:27:41.527775+00	2026-11-29 20:27:41.837116+00	vla-20261129-202741-wwhv	6.6.1	\N	b41968fe-031a-4274-959b-250474dcf56f
vla-20261129-202741-wwhv	10	1	superseded	vla_calibration	manual__9010	an analyst	vla_calibration	8	248	\N	\N	0.85	{"1": 0.85}	2026-11-29 20:27:41.320908+00	2026-11-29 20:27:41.837116+00	\N	default	\N	f00b7c47-3ee2-44e0-9ce0-1a743e53eac4
vla-20261129-202741-mm3e	12	1	rejected	vla_calibration	manual__9012	an analyst	vla_calibration	8	248	\N	\N	0.85	{"1": 0.85}	2026-11-29 20:27:41.892225+00	2026-11-29 20:27:42.225254+00	\N	default	\N	9f0cfe33-439b-409b-af5d-12ec53b8f853
vla-20261129-202742-y83y	14	1	cleaned	vla_calibration	manual__9014	an analyst	vla_calibration	8	248	no 'flux' in\nit	\N	\N	\N	2026-11-29 20:27:42.408068+00	2026-11-29 20:27:42.578336+00	\N	default	\N	76d55315-ea01-4f00-adc2-2e153f8d923f
\.


--
-- Data for Name: product_file; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.product_file (pipeline_run_id, number, path, size_bytes, crc32) FROM stdin;
vla-20261129-202740-zk9a	1	a.fits	2880	5
vla-20261129-202741-mfan	1	a.fits	2880	5
vla-20261129-202741-avjd	1	a.fits	2880	5
\.


--
-- Data for Name: reindex_request; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.reindex_request (reindex_id, pipeline_run_id, key, project, requested_at, attempts, next_attempt_at, last_error, done_at) FROM stdin;
1	vla-20261129-202741-avjd	ingest_1	13A-537	2026-11-29 20:27:41.837116+00	0	2026-11-29 20:27:41.837116+00	\N	\N
\.


--
-- Data for Name: request; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.request (request_id, kind, subject, project, locator, created_at, sealed_at, digest) FROM stdin;
1	vla_calibration	13A-537.sb24066356.eb9001.56514.05971091435	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009001	2026-11-29 20:27:39.917098+00	\N	
2	vla_calibration	13A-537.sb24066356.eb9002.56514.05971091435	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009002	2026-11-29 20:27:39.975386+00	\N	
3	vla_calibration	13A-537.sb24066356.eb9003.56514.05971091435	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009003	2026-11-29 20:27:40.061409+00	\N	
4	vla_calibration	13A-537.sb24066356.eb9004.56514.05971091435	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009004	2026-11-29 20:27:40.25174+00	\N	
5	vla_calibration	13A-537.sb24066356.eb9005.56514.05971091435	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009005	2026-11-29 20:27:40.702536+00	\N	
6	vla_calibration	13A-537.sb24066356.eb9006.56514.05971091435	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009006	2026-11-29 20:27:40.770822+00	\N	
7	alma_imaging	uid://A001/X1/X2	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009007	2026-11-29 20:27:40.798768+00	\N	0000000000000000000000000000000000000000000000000000000000000000
8	vla_calibration	13A-537.sb24066356.eb9008.56514.05971091435	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009008	2026-11-29 20:27:40.887995+00	\N	
9	vla_calibration	13A-537.sb24066356.eb9009.56514.05971091435	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009009	2026-11-29 20:27:41.083772+00	\N	
10	vla_calibration	13A-537.sb24066356.eb9010.56514.05971091435	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009011	2026-11-29 20:27:41.320908+00	2026-11-29 20:27:41.837116+00	
12	vla_calibration	13A-537.sb24066356.eb9012.56514.05971091435	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009012	2026-11-29 20:27:41.892225+00	\N	
13	vla_calibration	13A-537.sb24066356.eb9013.56514.05971091435	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009013	2026-11-29 20:27:42.238225+00	\N	
14	vla_calibration	13A-537.sb24066356.eb9014.56514.05971091435	13A-537	uid://evla/execblock/00000000-0000-0000-0000-000000009014	2026-11-29 20:27:42.408068+00	\N	
\.


--
-- Data for Name: retention; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.retention (kind, days, set_at) FROM stdin;
archived	30	2026-11-29 20:27:42.59835+00
\.


--
-- Data for Name: schema_version; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.schema_version (number, name, applied_at) FROM stdin;
1	0001_ledger.sql	2026-11-29 20:27:39.780905+00
2	0002_verdict.sql	2026-11-29 20:27:39.780905+00
3	0003_alma_imaging.sql	2026-11-29 20:27:39.780905+00
4	0004_assignment.sql	2026-11-29 20:27:39.780905+00
5	0005_refused_mail.sql	2026-11-29 20:27:39.780905+00
6	0006_mail_server.sql	2026-11-29 20:27:39.780905+00
7	0007_directory_token.sql	2026-11-29 20:27:39.780905+00
\.


--
-- Name: event_sequence_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.event_sequence_seq', 59, true);


--
-- Name: mail_mail_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.mail_mail_id_seq', 37, true);


--
-- Name: reindex_request_reindex_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.reindex_request_reindex_id_seq', 1, true);


--
-- Name: request_request_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.request_request_id_seq', 14, true);


--
-- Name: archived_file archived_file_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.archived_file
    ADD CONSTRAINT archived_file_pkey PRIMARY KEY (ngas_file_id);


--
-- Name: assignment assignment_answer; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.assignment
    ADD CONSTRAINT assignment_answer UNIQUE (pipeline_run_id, answer);


--
-- Name: assignment assignment_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.assignment
    ADD CONSTRAINT assignment_pkey PRIMARY KEY (pipeline_run_id, number);


--
-- Name: assignment_question assignment_question_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.assignment_question
    ADD CONSTRAINT assignment_question_pkey PRIMARY KEY (dag_id, dag_run_id);


--
-- Name: cached_measurement_set cached_measurement_set_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cached_measurement_set
    ADD CONSTRAINT cached_measurement_set_pkey PRIMARY KEY (pipeline_run_id);


--
-- Name: casa_attempt casa_attempt_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.casa_attempt
    ADD CONSTRAINT casa_attempt_pkey PRIMARY KEY (pipeline_run_id, attempt);


--
-- Name: event event_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (event_id);


--
-- Name: fetched_file fetched_file_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.fetched_file
    ADD CONSTRAINT fetched_file_pkey PRIMARY KEY (pipeline_run_id, path);


--
-- Name: given_file given_file_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.given_file
    ADD CONSTRAINT given_file_pkey PRIMARY KEY (pipeline_run_id, name);


--
-- Name: ingest ingest_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ingest
    ADD CONSTRAINT ingest_pkey PRIMARY KEY (pipeline_run_id, number);


--
-- Name: mail mail_message_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.mail
    ADD CONSTRAINT mail_message_id_key UNIQUE (message_id);


--
-- Name: mail mail_of_run; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.mail
    ADD CONSTRAINT mail_of_run UNIQUE (pipeline_run_id, key);


--
-- Name: mail mail_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.mail
    ADD CONSTRAINT mail_pkey PRIMARY KEY (mail_id);


--
-- Name: mail_server_away mail_server_away_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.mail_server_away
    ADD CONSTRAINT mail_server_away_pkey PRIMARY KEY (the_only_row);


--
-- Name: observation observation_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.observation
    ADD CONSTRAINT observation_pkey PRIMARY KEY (eb_name);


--
-- Name: observation_watch observation_watch_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.observation_watch
    ADD CONSTRAINT observation_watch_pkey PRIMARY KEY (name);


--
-- Name: pipeline_run pipeline_run_dag_run; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pipeline_run
    ADD CONSTRAINT pipeline_run_dag_run UNIQUE (dag_id, dag_run_id);


--
-- Name: pipeline_run pipeline_run_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pipeline_run
    ADD CONSTRAINT pipeline_run_pkey PRIMARY KEY (pipeline_run_id);


--
-- Name: pipeline_run pipeline_run_version; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pipeline_run
    ADD CONSTRAINT pipeline_run_version UNIQUE (request_id, version);


--
-- Name: product_file product_file_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.product_file
    ADD CONSTRAINT product_file_pkey PRIMARY KEY (pipeline_run_id, number, path);


--
-- Name: reindex_request reindex_request_pipeline_run_id_key_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reindex_request
    ADD CONSTRAINT reindex_request_pipeline_run_id_key_key UNIQUE (pipeline_run_id, key);


--
-- Name: reindex_request reindex_request_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reindex_request
    ADD CONSTRAINT reindex_request_pkey PRIMARY KEY (reindex_id);


--
-- Name: request request_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.request
    ADD CONSTRAINT request_pkey PRIMARY KEY (request_id);


--
-- Name: request request_subject; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.request
    ADD CONSTRAINT request_subject UNIQUE (kind, subject, digest);


--
-- Name: retention retention_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.retention
    ADD CONSTRAINT retention_pkey PRIMARY KEY (kind);


--
-- Name: schema_version schema_version_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (number);


--
-- Name: archived_file_of_ingest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX archived_file_of_ingest ON public.archived_file USING btree (pipeline_run_id, number);


--
-- Name: assignment_question_open; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX assignment_question_open ON public.assignment_question USING btree (pipeline_run_id) WHERE (closed_at IS NULL);


--
-- Name: event_of_run; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX event_of_run ON public.event USING btree (pipeline_run_id, sequence);


--
-- Name: ingest_one_in_force; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX ingest_one_in_force ON public.ingest USING btree (pipeline_run_id) WHERE (withdrawn_at IS NULL);


--
-- Name: mail_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX mail_due ON public.mail USING btree (next_attempt_at, mail_id) WHERE ((sent_at IS NULL) AND (pending <> '{}'::text[]));


--
-- Name: observation_to_start; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX observation_to_start ON public.observation USING btree (ingested_at) WHERE ((decision = 'calibrate'::text) AND (started_at IS NULL));


--
-- Name: pipeline_run_created; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX pipeline_run_created ON public.pipeline_run USING btree (created_at);


--
-- Name: pipeline_run_one_active; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX pipeline_run_one_active ON public.pipeline_run USING btree (request_id) WHERE (state = ANY (ARRAY['created'::text, 'fetching'::text, 'processing'::text, 'ingesting'::text, 'ingest_failed'::text]));


--
-- Name: INDEX pipeline_run_one_active; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.pipeline_run_one_active IS 'At most one active run a request, whoever asks, however often at once.';


--
-- Name: reindex_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX reindex_due ON public.reindex_request USING btree (next_attempt_at, reindex_id) WHERE (done_at IS NULL);


--
-- Name: event event_is_append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER event_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.event FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();


--
-- Name: archived_file archived_file_pipeline_run_id_number_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.archived_file
    ADD CONSTRAINT archived_file_pipeline_run_id_number_fkey FOREIGN KEY (pipeline_run_id, number) REFERENCES public.ingest(pipeline_run_id, number);


--
-- Name: assignment assignment_pipeline_run_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.assignment
    ADD CONSTRAINT assignment_pipeline_run_id_fkey FOREIGN KEY (pipeline_run_id) REFERENCES public.pipeline_run(pipeline_run_id);


--
-- Name: assignment_question assignment_question_pipeline_run_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.assignment_question
    ADD CONSTRAINT assignment_question_pipeline_run_id_fkey FOREIGN KEY (pipeline_run_id) REFERENCES public.pipeline_run(pipeline_run_id);


--
-- Name: cached_measurement_set cached_measurement_set_pipeline_run_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cached_measurement_set
    ADD CONSTRAINT cached_measurement_set_pipeline_run_id_fkey FOREIGN KEY (pipeline_run_id) REFERENCES public.pipeline_run(pipeline_run_id);


--
-- Name: casa_attempt casa_attempt_pipeline_run_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.casa_attempt
    ADD CONSTRAINT casa_attempt_pipeline_run_id_fkey FOREIGN KEY (pipeline_run_id) REFERENCES public.pipeline_run(pipeline_run_id);


--
-- Name: event event_pipeline_run_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.event
    ADD CONSTRAINT event_pipeline_run_id_fkey FOREIGN KEY (pipeline_run_id) REFERENCES public.pipeline_run(pipeline_run_id);


--
-- Name: fetched_file fetched_file_pipeline_run_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.fetched_file
    ADD CONSTRAINT fetched_file_pipeline_run_id_fkey FOREIGN KEY (pipeline_run_id) REFERENCES public.pipeline_run(pipeline_run_id);


--
-- Name: given_file given_file_pipeline_run_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.given_file
    ADD CONSTRAINT given_file_pipeline_run_id_fkey FOREIGN KEY (pipeline_run_id) REFERENCES public.pipeline_run(pipeline_run_id);


--
-- Name: ingest ingest_pipeline_run_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ingest
    ADD CONSTRAINT ingest_pipeline_run_id_fkey FOREIGN KEY (pipeline_run_id) REFERENCES public.pipeline_run(pipeline_run_id);


--
-- Name: mail mail_pipeline_run_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.mail
    ADD CONSTRAINT mail_pipeline_run_id_fkey FOREIGN KEY (pipeline_run_id) REFERENCES public.pipeline_run(pipeline_run_id);


--
-- Name: pipeline_run pipeline_run_former_run_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pipeline_run
    ADD CONSTRAINT pipeline_run_former_run_fkey FOREIGN KEY (former_run) REFERENCES public.pipeline_run(pipeline_run_id);


--
-- Name: pipeline_run pipeline_run_request_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pipeline_run
    ADD CONSTRAINT pipeline_run_request_id_fkey FOREIGN KEY (request_id) REFERENCES public.request(request_id);


--
-- Name: product_file product_file_pipeline_run_id_number_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.product_file
    ADD CONSTRAINT product_file_pipeline_run_id_number_fkey FOREIGN KEY (pipeline_run_id, number) REFERENCES public.ingest(pipeline_run_id, number);


--
-- Name: reindex_request reindex_request_pipeline_run_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reindex_request
    ADD CONSTRAINT reindex_request_pipeline_run_id_fkey FOREIGN KEY (pipeline_run_id) REFERENCES public.pipeline_run(pipeline_run_id);


--
-- PostgreSQL database dump complete
--

\unrestrict ledger

