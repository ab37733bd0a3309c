pytest_plugins = ("soundstage.pytest_plugin",)
