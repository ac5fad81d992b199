"""How often the gate promotes a model of which the true gain is known."""
