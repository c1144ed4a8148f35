-- ALMA user-initiated imaging: what a user asked for belongs to the request, and many products are archived of one run.

ALTER TABLE request
    ADD COLUMN digest text NOT NULL DEFAULT '' CHECK (digest ~ '^([0-9a-f]{64})?$'),
    DROP CONSTRAINT request_subject,
    ADD CONSTRAINT request_subject UNIQUE (kind, subject, digest);
COMMENT ON COLUMN request.digest IS
    'Tells apart what users ask of one MOUS; empty where there is but one thing to ask, a calibration say.';

ALTER TABLE pipeline_run ADD COLUMN asked jsonb;
COMMENT ON COLUMN pipeline_run.asked IS 'What the user asked for, and who that is; NULL for a calibration.';

ALTER TABLE archived_file ADD COLUMN product text CHECK (product <> '');
COMMENT ON COLUMN archived_file.product IS 'The product that is sent as it lies in products/; NULL: it is packed anew.';
