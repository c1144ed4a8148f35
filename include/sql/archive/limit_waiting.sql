-- For the present transaction alone: how long it waits for what another transaction holds, and after how long the server
-- ends it if nothing more is heard of whoever began it. Both in milliseconds, as text.
SELECT set_config('lock_timeout', %(longest_wait)s, true),
       set_config('idle_in_transaction_session_timeout', %(longest_silence)s, true)
