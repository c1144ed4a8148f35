-- The reference archive: what the workflows read and write in somebody else's database, as small as it can be.
-- The embedded observatory uses it as it stands. An observatory with an archive of its own keeps its tables and rewrites
-- the statements beside this file against them: their parameters and column names are the contract, this schema is not.
--
-- Applying it again changes nothing. The lock keeps two that apply it at once apart: CREATE ... IF NOT EXISTS alone does not.
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

-- The files of one thing: of an execution block, a calibration, later an image set.
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

COMMIT;
