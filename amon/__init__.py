"""What an agent and a console share: words, command model, delivery, health."""
