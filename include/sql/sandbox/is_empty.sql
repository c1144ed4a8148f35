-- Whether nothing was ever observed.
SELECT NOT EXISTS (SELECT FROM execution_block) AND NOT EXISTS (SELECT FROM mous) AS is_empty
