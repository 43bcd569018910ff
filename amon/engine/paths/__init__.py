"""How to get to an address: routes, next hops and their MACs, followed as they change."""
