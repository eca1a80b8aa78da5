"""The bundle: graph, manifest, reference, golden rows, card."""
