-- Which of these SDMs have a decision, and why it was made.
SELECT eb_name, reason FROM observation WHERE eb_name = ANY(%(names)s)
