"""What a task yields to almost no effort: a number without one of these beside it says little."""
