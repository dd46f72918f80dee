"""From an evaluated model to a champion: what `degrain register`, `promote`, `rollback` and `card` do."""
