"""`degrain serve`: a front with limits before MLflow's own scoring server.

front.py takes requests, orders.py reads them, keeper.py always has a working scorer, and a scorer is a
process of its own that runs scoring.py: one version of the model, with the code that was logged with it.
"""
