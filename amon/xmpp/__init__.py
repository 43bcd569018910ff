"""The XMPP side of a node: stanzas in, small frozen records out, and back. The only room that imports slixmpp.

Nothing is imported here, so that reading a configuration (`login`) or an event costs no slixmpp.
"""
