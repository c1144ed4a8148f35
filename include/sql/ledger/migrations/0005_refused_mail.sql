-- A recipient whom the mail server refuses for good is not tried for ever.

ALTER TABLE mail ADD COLUMN refused jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN mail.refused IS 'Recipients who are given up because the mail server refuses them, each with its answer.';
COMMENT ON COLUMN mail.sent_at IS 'When all were accepted who are not given up; NULL for ever if it was accepted for nobody.';

DROP INDEX mail_due;
CREATE INDEX mail_due ON mail (next_attempt_at, mail_id) WHERE sent_at IS NULL AND pending <> '{}';
