"""Ways in which a run leaves the disks: a failed QA, a cleanup, the expiry; with the proof that the archive has it."""
