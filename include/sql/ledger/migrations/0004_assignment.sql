-- Who has the review of a run, and who is being asked for it.

CREATE TABLE assignment (
    pipeline_run_id text NOT NULL REFERENCES pipeline_run,
    number integer NOT NULL CHECK (number > 0),
    data_analyst text NOT NULL CHECK (data_analyst <> ''),
    assigned_by text NOT NULL,
    assigned_at timestamptz NOT NULL DEFAULT now(),
    answer text NOT NULL,
    PRIMARY KEY (pipeline_run_id, number),
    CONSTRAINT assignment_answer UNIQUE (pipeline_run_id, answer)
);
COMMENT ON TABLE assignment IS 'Who was given a run to review; the highest number is in force.';
COMMENT ON COLUMN assignment.data_analyst IS 'The mail address.';
COMMENT ON COLUMN assignment.answer IS 'Tells apart the answers of people, so that each is recorded once.';

CREATE TABLE assignment_question (
    dag_id text NOT NULL,
    dag_run_id text NOT NULL,
    pipeline_run_id text NOT NULL REFERENCES pipeline_run,
    asked_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    PRIMARY KEY (dag_id, dag_run_id)
);
COMMENT ON TABLE assignment_question IS 'A DAG run that asks who reviews a run.';
COMMENT ON COLUMN assignment_question.closed_at IS 'When it was answered or had become pointless; NULL while it is asked.';
CREATE INDEX assignment_question_open ON assignment_question (pipeline_run_id) WHERE closed_at IS NULL;
