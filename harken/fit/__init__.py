"""Learning: the plan, the optimizers, the one training loop, and a state exact enough to be killed and go on."""
