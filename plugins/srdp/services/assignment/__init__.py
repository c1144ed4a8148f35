"""Who reviews a run: the question, the answer, and what becomes of questions that are lost or pointless."""
