pytest_plugins = ["syncline.testing.plugin"]
