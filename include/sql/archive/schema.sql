-- The reference archive: what the workflows read and write in somebody else's database, as small as it can be.
-- The embedded observatory uses it as it stands. An observatory with an archive of its own keeps its tables and rewrites
-- the statements beside this file against them: their parameters and column names are the contract, this schema is not.
--
-- Applying it again changes nothing, and brings an older one up to date: what is new is added by statements of its own.
-- The lock keeps two that apply it at once apart: CREATE ... IF NOT EXISTS alone does not.
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('srdp reference archive schema'));

CREATE TABLE IF NOT EXISTS project (
    project_code text PRIMARY KEY CHECK (project_code <> ''),
    title        text,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Where files are. A file names its server; the server's address may change without touching the files.
CREATE TABLE IF NOT EXISTS ngas_server (
    name     text PRIMARY KEY,
    address  text NOT NULL,  -- host:port
    location text NOT NULL,  -- the site, for example DSOC
    cluster  text NOT NULL
);

-- The files of one thing: of an execution block, a calibration, an image set.
CREATE TABLE IF NOT EXISTS file_group (
    file_group_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE IF NOT EXISTS file (
    file_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_group_id bigint NOT NULL REFERENCES file_group,
    ngas_file_id  varchar(64) NOT NULL CHECK (ngas_file_id <> ''),
    version       integer NOT NULL CHECK (version >= 1),
    size          bigint NOT NULL CHECK (size >= 0),           -- bytes
    checksum      text NOT NULL,                               -- decimal; of old files signed, see checksum_type
    checksum_type text NOT NULL,                               -- NGAS's name of the algorithm, for example ngamsGenCrc32
    subdirectory  text CHECK (subdirectory <> ''),             -- NULL: directly where the file group is unpacked
    relative_path text NOT NULL CHECK (relative_path <> '' AND relative_path NOT LIKE '/%'),
    ngas_server   text NOT NULL REFERENCES ngas_server,
    UNIQUE (ngas_file_id, version)
);
CREATE UNIQUE INDEX IF NOT EXISTS file_one_per_place
    ON file (file_group_id, coalesce(subdirectory, ''), relative_path);

CREATE TABLE IF NOT EXISTS execution_block (
    locator            text PRIMARY KEY,
    name               text NOT NULL UNIQUE,
    project_code       text NOT NULL REFERENCES project,
    telescope          text NOT NULL,
    -- Ready, Calibrated and Do Not Calibrate are known; there may be others, so this is no closed list.
    calibration_status text NOT NULL DEFAULT 'Ready',
    observed_start     timestamptz,
    observed_end       timestamptz,
    file_group_id      bigint NOT NULL REFERENCES file_group,
    ingested_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (observed_end >= observed_start)
);
CREATE INDEX IF NOT EXISTS execution_block_ingested_at ON execution_block (ingested_at);
CREATE INDEX IF NOT EXISTS execution_block_project_code ON execution_block (project_code);

-- An ALMA member observing unit set. Its UID and its name on disk are both kept: neither can be made from the other.
CREATE TABLE IF NOT EXISTS mous (
    mous_uid      text PRIMARY KEY,
    disk_name     text NOT NULL UNIQUE,
    project_code  text NOT NULL REFERENCES project,
    telescope     text NOT NULL,
    file_group_id bigint REFERENCES file_group,
    ingested_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What its data are nominally: with them the size of an image is estimated before anything is fetched.
ALTER TABLE mous
    ADD COLUMN IF NOT EXISTS frequency_ghz     double precision CHECK (frequency_ghz > 0),
    ADD COLUMN IF NOT EXISTS resolution_arcsec double precision CHECK (resolution_arcsec > 0);

-- The ASDMs of a MOUS. As with the MOUS, UID and name on disk are both kept; the locator is what the locator service
-- is asked for, and need not be the UID.
CREATE TABLE IF NOT EXISTS mous_member (
    locator       text PRIMARY KEY,
    mous_uid      text NOT NULL REFERENCES mous,
    asdm_uid      text NOT NULL UNIQUE,
    disk_name     text NOT NULL UNIQUE,
    file_group_id bigint NOT NULL REFERENCES file_group
);
CREATE INDEX IF NOT EXISTS mous_member_mous ON mous_member (mous_uid);

CREATE TABLE IF NOT EXISTS calibration (
    locator                 text PRIMARY KEY,
    execution_block_locator text REFERENCES execution_block,
    mous_uid                text REFERENCES mous,
    file_group_id           bigint NOT NULL REFERENCES file_group,
    qa_notes                text,
    ingested_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT calibration_of_exactly_one_thing CHECK (num_nonnulls(execution_block_locator, mous_uid) = 1)
);
CREATE INDEX IF NOT EXISTS calibration_execution_block ON calibration (execution_block_locator);
CREATE INDEX IF NOT EXISTS calibration_mous ON calibration (mous_uid);

-- What it was made with, as CASA and the pipeline report.
ALTER TABLE calibration
    ADD COLUMN IF NOT EXISTS casa_version text,
    ADD COLUMN IF NOT EXISTS pipeline_version text;

-- What a file is among the files of its group: of a calibration, calibration (the tar) or weblog; of an image set,
-- science, ancillary, associated (the tar) or weblog. NULL: what the observatory brought in itself, as raw data.
ALTER TABLE file ADD COLUMN IF NOT EXISTS kind text CHECK (kind <> '');

-- The SRDP verdict on a calibration, which is separate from its being archived.
CREATE TABLE IF NOT EXISTS srdp_state (
    calibration_locator text PRIMARY KEY REFERENCES calibration ON DELETE CASCADE,
    pipeline_run_id     text NOT NULL,
    qa_flag             text NOT NULL CHECK (qa_flag IN ('Pass', 'Fail', 'Null')),
    qa_score            double precision,
    qa_analyst          text NOT NULL,  -- Airflow's user, or: given by <that user> for <who was named>
    qa_standard         text NOT NULL,
    updated_at          timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The images of a MOUS that a user asked for, or of an execution block, with everything that was made beside them.
CREATE TABLE IF NOT EXISTS image_set (
    locator          text PRIMARY KEY,
    mous_uid         text NOT NULL REFERENCES mous,
    file_group_id    bigint NOT NULL REFERENCES file_group,
    asked            jsonb,  -- what the user asked for, and who that is
    qa_notes         text,
    casa_version     text,
    pipeline_version text,
    ingested_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS image_set_mous ON image_set (mous_uid);

-- Execution blocks are imaged, too.
ALTER TABLE image_set
    ALTER COLUMN mous_uid DROP NOT NULL,
    ADD COLUMN IF NOT EXISTS execution_block_locator text REFERENCES execution_block,
    DROP CONSTRAINT IF EXISTS image_set_of_exactly_one_thing,
    ADD CONSTRAINT image_set_of_exactly_one_thing CHECK (num_nonnulls(execution_block_locator, mous_uid) = 1);
CREATE INDEX IF NOT EXISTS image_set_execution_block ON image_set (execution_block_locator);

-- What the header of each of its FITS files says; empty or NULL where it says nothing. Its file is that of the image
-- set's file group with the same relative_path.
CREATE TABLE IF NOT EXISTS image (
    image_set_locator text NOT NULL REFERENCES image_set ON DELETE CASCADE,
    relative_path     text NOT NULL CHECK (relative_path <> ''),
    product           text NOT NULL CHECK (product IN ('science', 'ancillary')),
    kind              text NOT NULL CHECK (kind <> ''),  -- cube, continuum, pb, mask ...
    field             text NOT NULL,
    spw               text NOT NULL,                     -- with commas between several
    stokes            text NOT NULL,
    beam_major_arcsec double precision,
    beam_minor_arcsec double precision,
    beam_pa_deg       double precision,
    rms               double precision,                  -- noise as the pipeline defines it, in the unit of the pixels; NULL: not measured
    unit              text NOT NULL,
    width             integer NOT NULL CHECK (width > 0),
    height            integer NOT NULL CHECK (height > 0),
    channels          integer NOT NULL CHECK (channels > 0),
    rest_frequency_hz double precision,
    PRIMARY KEY (image_set_locator, relative_path)
);

-- Image sets have an SRDP verdict, too.
ALTER TABLE srdp_state
    ADD COLUMN IF NOT EXISTS image_set_locator text UNIQUE REFERENCES image_set ON DELETE CASCADE,
    DROP CONSTRAINT IF EXISTS srdp_state_of_exactly_one_thing,
    DROP CONSTRAINT IF EXISTS srdp_state_pkey;
ALTER TABLE srdp_state
    ALTER COLUMN calibration_locator DROP NOT NULL,
    ADD CONSTRAINT srdp_state_of_exactly_one_thing CHECK (num_nonnulls(calibration_locator, image_set_locator) = 1);
CREATE UNIQUE INDEX IF NOT EXISTS srdp_state_one_of_each
    ON srdp_state (coalesce(calibration_locator, image_set_locator));

-- Calibrated measurement sets that are on disk for users until they expire.
CREATE TABLE IF NOT EXISTS cached_measurement_set (
    calibration_locator text PRIMARY KEY REFERENCES calibration ON DELETE CASCADE,
    path                text NOT NULL CHECK (path LIKE '/%'),
    cached_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at          timestamptz NOT NULL
);

-- Projects that are to be indexed again. The indexer reads a row, indexes, and deletes the row with the requested_at
-- that it has read: what was asked for meanwhile stays.
CREATE TABLE IF NOT EXISTS reindex_request (
    project_code text PRIMARY KEY REFERENCES project,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMIT;
