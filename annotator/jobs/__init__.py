"""Background work: a queue that carries run ids, and the worker that executes the runs."""
