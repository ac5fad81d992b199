"""The life of a version: snapshot, training, measurements, gate, card, registry."""
