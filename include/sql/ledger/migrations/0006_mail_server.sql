-- Since when the mail server is away, so that somebody is told; mails wait meanwhile, and use up no attempts.

CREATE TABLE mail_server_away (
    the_only_row boolean PRIMARY KEY DEFAULT true CHECK (the_only_row),
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_error text NOT NULL
);
COMMENT ON TABLE mail_server_away IS 'No row while the mail server answers.';
