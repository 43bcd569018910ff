"""Who may: the site's policy, the decision with its reason, and the record of both.

The site has the last word. Default deny; identity is the real bare address, and the key where a request is signed; an
asker from the agents' own domain is refused unless a rule names that one agent and one command.
"""

from amon.access.audit import AuditRecord
from amon.access.authority import Authority
from amon.access.policy import Decision, Policy, role_problems
from amon.access.quota import Quota
from amon.access.rules import Rule, Wanted

__all__ = ["AuditRecord", "Authority", "Decision", "Policy", "Quota", "Rule", "Wanted", "role_problems"]
