"""What `amon-agent reference` prints: every key of the agent, and of the modules that are installed beside it."""

from amon.config import reference
from amon.module import Registry, settings_type
from site_agent.settings import AgentSettings


def configuration_reference(registry: Registry) -> str:
    """Markdown, from the same types as the example."""
    parts = [reference(AgentSettings, "The whole file")]
    parts += [_module(name, registry) for name in registry.names]
    return "\n".join(parts)


def _module(name: str, registry: Registry) -> str:
    """Its tables under the name that its instance has if nobody gives it another."""
    path = f"instance.{name}.settings"
    title = f"`[{path}]`: module `{name}`"
    module = registry.find(name)
    if module.cls is None:
        return f"### {title}\n\n{module.reason}.\n"
    hint = settings_type(module.cls)
    return f"### {title}\n\nThere is nothing to set.\n" if hint is None else reference(hint, title, path=path)
