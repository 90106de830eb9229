"""The call layer: what surrounds every call of a provider, each part a Provider of its own.

From the outside in: a stored answer, or one of an identical call that is under way, or the
bytes of the media are made (`cache`);
attempts in one loop under one deadline (`retry`); a door that shuts when a service keeps
failing (`breaker`); the budget, reserved before and settled after each attempt (`budget`);
a record of every billed reply, written before it is used (`ledger`); the limits of the
service (`limits`); the egress gate; the provider. `layer` builds it, in one place.
"""
