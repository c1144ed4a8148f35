-- Reminders are mails: that there is one, and when it was queued, is what the outbox says.
SELECT
    run.pipeline_run_id, kind, subject, project, locator, version, state, dag_id, dag_run_id, requested_by, recipe,
    cores, memory_gb, failure, ppr_sha256, lowest_score, scores, run.created_at, state_since, former_run, casa_release,
    digest AS request_digest, asked, directory_token,
    given.number, given.data_analyst, given.assigned_by, given.assigned_at, told.reminders, told.reminded_at
FROM pipeline_run AS run JOIN request USING (request_id)
    LEFT JOIN LATERAL (
        SELECT number, data_analyst, assigned_by, assigned_at
        FROM assignment
        WHERE assignment.pipeline_run_id = run.pipeline_run_id
        ORDER BY number DESC
        LIMIT 1
    ) AS given ON true
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS reminders, max(queued_at) AS reminded_at
        FROM mail
        WHERE mail.pipeline_run_id = run.pipeline_run_id
            AND starts_with(mail.key, 'assignment_reminder_' || coalesce(given.number, 0) || '_')
    ) AS told
WHERE state = 'awaiting_qa'
    AND kind = ANY(%(kinds)s)
    AND (%(pipeline_run_id)s::text IS NULL OR run.pipeline_run_id = %(pipeline_run_id)s)
ORDER BY state_since, run.pipeline_run_id
