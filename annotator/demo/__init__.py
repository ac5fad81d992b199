"""The whole loop on one machine: a project, a Label Studio, a model, and a scripted annotator."""
