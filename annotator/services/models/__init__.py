"""The life of a version: snapshot, training, measures, gate, card, registry."""
