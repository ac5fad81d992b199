"""The command line: one module a command. Nothing here imports torch before it is needed."""
