from syncline.testing.mapping import MappingContract


class TestShop(MappingContract):
    config = "syncline.toml"
    schema = "schema.sql"

    def row(self, table, number, random):
        if table == "public.customer":
            return {"number": f"C-{number:06}"}
        return {}
