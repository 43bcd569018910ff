"""Namespaces and element names, in ElementTree's notation, each with the document that defines it."""

from typing import Final

CLIENT: Final = "jabber:client"  # RFC 6121
STREAM: Final = "http://etherx.jabber.org/streams"  # RFC 6120
TLS: Final = "urn:ietf:params:xml:ns:xmpp-tls"
SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
STANZAS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"
XML: Final = "http://www.w3.org/XML/1998/namespace"

MESSAGE: Final = f"{{{CLIENT}}}message"
PRESENCE: Final = f"{{{CLIENT}}}presence"
IQ: Final = f"{{{CLIENT}}}iq"
BODY: Final = f"{{{CLIENT}}}body"
SHOW: Final = f"{{{CLIENT}}}show"
STATUS: Final = f"{{{CLIENT}}}status"
ERROR: Final = f"{{{CLIENT}}}error"

AMON: Final = "{urn:amon:1}amon"  # the machine's part of a message
HEALTH: Final = "{urn:amon:health:1}health"
SITE: Final = "{urn:amon:site:1}site"
UNREAD: Final = "{urn:amon:unread}why"  # attribute that our reader sets: the content was beyond the limits
SITE_FORM: Final = "urn:amon:site"

SM: Final = "urn:xmpp:sm:3"  # XEP-0198
DELAY: Final = "{urn:xmpp:delay}delay"  # XEP-0203
OLD_DELAY: Final = "{jabber:x:delay}x"  # XEP-0091
PING: Final = "{urn:xmpp:ping}ping"  # XEP-0199
ROSTER: Final = "jabber:iq:roster"
REGISTER: Final = "jabber:iq:register"  # XEP-0077
TIME: Final = "urn:xmpp:time"  # XEP-0202
DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"  # XEP-0030
DISCO_ITEMS: Final = "http://jabber.org/protocol/disco#items"
COMMANDS: Final = "http://jabber.org/protocol/commands"  # XEP-0050
FORM: Final = "jabber:x:data"  # XEP-0004
MUC: Final = "http://jabber.org/protocol/muc"  # XEP-0045
MUC_USER: Final = "http://jabber.org/protocol/muc#user"
MUC_ADMIN: Final = "http://jabber.org/protocol/muc#admin"
MUC_OWNER: Final = "http://jabber.org/protocol/muc#owner"
CHATSTATES: Final = "http://jabber.org/protocol/chatstates"  # XEP-0085
NO_STORE: Final = "{urn:xmpp:hints}no-store"  # XEP-0334
NO_COPY: Final = "{urn:xmpp:hints}no-copy"
FALLBACK: Final = "{urn:xmpp:fallback:0}fallback"  # XEP-0428
REPLY: Final = "{urn:xmpp:reply:0}reply"  # XEP-0461
AMON_NS: Final = "urn:amon:1"
REPLACE: Final = "{urn:xmpp:message-correct:0}replace"  # XEP-0308
ORIGIN_ID: Final = "{urn:xmpp:sid:0}origin-id"  # XEP-0359
UNSTYLED: Final = "{urn:xmpp:styling:0}unstyled"  # XEP-0393
