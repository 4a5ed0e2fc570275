"""One request's journey: the only room that knows the order of things."""
