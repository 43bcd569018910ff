"""Who may: the site's policy, the decision with its reason, and the record of both.

The site has the last word. Default deny; identity is the real bare address, and the key where a request is signed; an
asker from the agents' own domain is refused unless a rule names that one agent and one command.
"""

from amon.access.audit import AuditRecord, Line, Link, Verdict, digest_of, hash_of, verify_chain
from amon.access.authority import Authority
from amon.access.policy import Decision, Policy
from amon.access.problems import policy_problems
from amon.access.quota import Quota
from amon.access.rules import Rule, Wanted
from amon.access.signers import Signers, read_signers
from amon.access.sshsig import COMMAND, RESULT, BadSignature

__all__ = [
    "COMMAND",
    "RESULT",
    "AuditRecord",
    "Authority",
    "BadSignature",
    "Decision",
    "Line",
    "Link",
    "Policy",
    "Quota",
    "Rule",
    "Signers",
    "Verdict",
    "Wanted",
    "digest_of",
    "hash_of",
    "policy_problems",
    "read_signers",
    "verify_chain",
]
