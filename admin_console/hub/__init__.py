"""The hub: the fleet as one contact, which sums up what was typed for many, and lends slots. docs/hub.md."""
