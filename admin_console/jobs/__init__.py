"""Jobs that outlive their console: listed, taken up again, followed, asked once more, delivered to who was offline."""
