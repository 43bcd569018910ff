"""Who may: the site's policy, the decision with its reason, and the record of both.

The site has the last word. Default deny; identity is the real bare address and nothing else; an asker from the agents'
own domain is refused whatever a rule says, because no agent commands another.
"""

from amon.access.audit import AuditRecord
from amon.access.policy import Decision, Policy, role_problems
from amon.access.quota import Quota

__all__ = ["AuditRecord", "Decision", "Policy", "Quota", "role_problems"]
