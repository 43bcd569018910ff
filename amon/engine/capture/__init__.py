"""The engine's own packets as a pcap file."""
