"""From a verdict to the archive: the claim, QA notes, packing, NGAS, metadata, the end; its failure, its withdrawal."""
