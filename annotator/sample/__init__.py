"""The bundled sample corpus: 74 short clinical notes with entities and relations.

Every note, name, date and value is invented and was written by hand for this project; none
describes a real person, and nothing was taken from a record. ``notes.jsonl`` is in the canonical
interchange format, one note a line; ``GUIDELINES.md`` says how it was annotated. Licence:
Apache-2.0, as the project.
"""
